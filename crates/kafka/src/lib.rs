//! Kafka source: all partitions of a topic, in batches, offsets kept by the engine.
