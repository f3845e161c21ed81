//! Where a message goes that was consumed in vain: retry topic or dead-letter topic.
