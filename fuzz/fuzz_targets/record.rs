//! A commit-log record: whatever the bytes, parsing answers or refuses; accessors stay inside the record.
#![no_main]

use hypergol_store::record::Record;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    if let Ok(record) = Record::parse(data) {
        let _ = (record.topic(), record.body(), record.properties(), record.queue_id());
        let _ = record.validate();
    }
});
