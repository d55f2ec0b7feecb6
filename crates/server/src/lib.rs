//! Tables over HTTP and WebSocket, health, metrics, and the page.
