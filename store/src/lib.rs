//! RocketMQ message store: commit log, consume queues, index, checkpoint. Knows nothing of the network.
