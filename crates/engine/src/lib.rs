//! A plan and a registry of stages turned into a running pipeline, one epoch at a time.
