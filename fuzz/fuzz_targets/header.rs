//! A header of either form, framed properly so that the fuzzer spends its time behind the length checks.
#![no_main]

use bytes::Bytes;
use hypergol_remoting::protocol::codec;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let Some((kind, header)) = data.split_first() else { return };
    let mut frame = (header.len() as u32 & 0xff_ffff).to_be_bytes().to_vec();
    frame[0] = kind & 1;
    frame.extend_from_slice(header);
    if let Ok(command) = codec::decode(Bytes::from(frame)) {
        for (key, value) in command.fields.iter() {
            assert!(command.fields.get(key).is_some(), "{key} {value}");
        }
    }
});
