//! A stream of bytes is cut into frames; each that decodes is encoded and decoded again to the same command.
#![no_main]

use bytes::BytesMut;
use hypergol_remoting::protocol::codec;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let mut buffer = BytesMut::from(data);
    while let Ok(Some(frame)) = codec::cut_frame(&mut buffer) {
        let Ok(command) = codec::decode(frame) else { return };
        let again = codec::cut_frame(&mut BytesMut::from(&command.to_frame()[..])).unwrap().unwrap();
        let mut again = codec::decode(again).unwrap();
        // A code beyond 16 bits changes to JSON; empty texts are absent in the binary form.
        again.serialize_type = command.serialize_type;
        assert_eq!((again.code, again.opaque, again.flag), (command.code, command.opaque, command.flag));
        assert_eq!(again.body, command.body);
    }
});
