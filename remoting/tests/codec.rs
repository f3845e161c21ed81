//! Frames: what is written is read back, Java's samples are met byte for byte, and no bytes do harm.

use bytes::{Bytes, BytesMut};
use hypergol_remoting::protocol::codec::{self, FRAME_BYTES_MAX, FrameError};
use hypergol_remoting::protocol::command::{LanguageCode, SerializeType};
use hypergol_remoting::{RemotingCommand, RequestCode, ResponseCode};
use proptest::prelude::*;

fn decode(frame: &[u8]) -> Result<Option<RemotingCommand>, FrameError> {
    codec::cut_frame(&mut BytesMut::from(frame))?.map(codec::decode).transpose()
}

/// A JSON frame around a header text.
fn json_frame(header: &str) -> Vec<u8> {
    let mut frame = (header.len() as u32 + 4).to_be_bytes().to_vec();
    frame.extend((header.len() as u32).to_be_bytes());
    frame.extend(header.as_bytes());
    frame
}

fn header(text: &str) -> Result<RemotingCommand, FrameError> {
    decode(&json_frame(text)).map(Option::unwrap)
}

#[test]
fn writes_java_s_json_header() {
    let mut request = RemotingCommand::request(RequestCode::GetRouteInfoByTopic).with_field("topic", "T");
    request.opaque = 7;
    let expected = r#"{"code":105,"extFields":{"topic":"T"},"flag":0,"language":"JAVA","opaque":7,"serializeTypeCurrentRPC":"JSON","version":513}"#;
    assert_eq!(request.to_frame(), json_frame(expected));
}

#[test]
fn writes_java_s_binary_header() {
    let mut response =
        RemotingCommand::response(ResponseCode::SystemError).with_remark("bad \"x\" \n中").with_field("k", "v");
    response.opaque = 7;
    response.serialize_type = SerializeType::RocketMq;
    let expected = "0000002d01000029000100020100000007000000010000000c62616420227822200ae4b8ad0000000800016b0000000176";
    let hex: String = response.to_frame().iter().map(|b| format!("{b:02x}")).collect();
    assert_eq!(hex, expected);
}

#[test]
fn a_code_beyond_16_bits_is_written_as_json() {
    let mut request = RemotingCommand::request(RequestCode::PopMessage);
    request.serialize_type = SerializeType::RocketMq;
    let read = decode(&request.to_frame()).unwrap().unwrap();
    assert_eq!((read.code, read.serialize_type), (200_050, SerializeType::Json));
}

#[test]
fn takes_what_java_takes() {
    let read = header(
        r#" { "unknown" : [1, {"a": [null, "]"]}, -2.5e3], "version":"317", "opaque" : -5, "code":"12", "flag":0,
            "language": 9, "extFields":{"n":5,"b":true,"z":null,"e":"\u4e2d\n\"\ud83d\ude00","l":""}, "remark":null }"#,
    )
    .unwrap();
    assert_eq!((read.code, read.opaque, read.version, read.language), (12, -5, 317, LanguageCode::GO));
    assert_eq!(read.remark, None);
    let fields: Vec<_> = read.fields.iter().collect();
    assert_eq!(fields, [("n", "5"), ("b", "true"), ("e", "中\n\"😀"), ("l", "")]);
    assert_eq!(header(r#"{"language":"KLINGON"}"#).unwrap().language, LanguageCode::OTHER);
    assert_eq!(header(r#"{"extFields":null}"#).unwrap().fields.len(), 0);
}

#[test]
fn says_where_a_header_is_ill_formed() {
    for (text, at) in [
        ("", 0),
        ("{code:1}", 1),
        (r#"{"code":1"#, 9),
        (r#"{"code":x1y}"#, 8),
        (r#"{"code":99999999999}"#, 8),
        (r#"{"extFields":{"a":{}}}"#, 18),
        (r#"{"a":"x"#, 7),
        (r#"{"a":1} x"#, 8),
        (r#"{"a":"\q"}"#, 8),
    ] {
        match header(text) {
            Err(FrameError::IllFormed { at: found, .. }) => assert_eq!(found, at, "{text}"),
            other => panic!("{text}: {other:?}"),
        }
    }
    let deep = format!(r#"{{"a":{}}}"#, "[".repeat(100_000));
    assert!(matches!(header(&deep), Err(FrameError::IllFormed { what: "nested too deeply", .. })));
    let wide = format!(r#"{{"extFields":{{{}"z":"z"}}}}"#, r#""k":"v","#.repeat(2000));
    assert!(matches!(header(&wide), Err(FrameError::IllFormed { what: "too many fields", .. })));
}

#[test]
fn a_length_is_judged_before_the_bytes_arrive() {
    let mut long = BytesMut::from(&(FRAME_BYTES_MAX as i32 - 3).to_be_bytes()[..]);
    assert_eq!(codec::cut_frame(&mut long), Err(FrameError::TooLong(FRAME_BYTES_MAX as i64 + 1)));
    let mut longest = BytesMut::from(&(FRAME_BYTES_MAX as i32 - 4).to_be_bytes()[..]);
    assert_eq!(codec::cut_frame(&mut longest), Ok(None));
    assert!(longest.capacity() < 1024, "nothing is reserved for a length alone");
    assert_eq!(codec::missing_bytes(&longest), FRAME_BYTES_MAX - 4);
}

fn any_command() -> impl Strategy<Value = RemotingCommand> {
    (
        any::<i16>(),
        0u8..14,
        any::<i16>(),
        any::<i32>(),
        any::<i32>(),
        prop::option::of("\\PC{1,40}|[\\x00-\\x7f]{1,20}"),
        prop::collection::btree_map("[a-zA-Z_]{1,12}|\\PC{1,8}", "[\\x00-\\x7f]{1,12}|\\PC{1,30}", 0..20),
        prop::collection::vec(any::<u8>(), 0..300),
        any::<bool>(),
    )
        .prop_map(|(code, language, version, opaque, flag, remark, fields, body, binary)| {
            let mut command = RemotingCommand::response_raw(i32::from(code));
            command.language = LanguageCode(language);
            command.version = i32::from(version);
            command.opaque = opaque;
            command.flag = flag;
            command.remark = remark;
            command.fields = fields.iter().map(|(k, v)| (k.as_str(), v.as_str())).collect();
            command.body = Bytes::from(body);
            command.serialize_type = if binary { SerializeType::RocketMq } else { SerializeType::Json };
            command
        })
}

proptest! {
    #[test]
    fn reads_back_what_it_wrote(command in any_command(), cut in any::<prop::sample::Index>()) {
        let frame = command.to_frame();
        let cut = cut.index(frame.len());
        prop_assert_eq!(decode(&frame[..cut]), Ok(None));
        let read = decode(&frame).unwrap().unwrap();
        prop_assert_eq!(read, command);
    }

    #[test]
    fn frames_are_cut_one_by_one(commands in prop::collection::vec(any_command(), 1..5)) {
        let mut buffer = BytesMut::new();
        commands.iter().for_each(|c| buffer.extend_from_slice(&c.to_frame()));
        for command in &commands {
            let frame = codec::cut_frame(&mut buffer).unwrap().unwrap();
            prop_assert_eq!(&codec::decode(frame).unwrap(), command);
        }
        prop_assert!(buffer.is_empty());
    }

    #[test]
    fn no_bytes_do_harm(bytes in prop::collection::vec(any::<u8>(), 0..200), kind in 0u8..3, header_len in 0u32..220) {
        let _ = decode(&bytes);
        let mut frame = (bytes.len() as u32 + 4).to_be_bytes().to_vec();
        frame.extend(header_len.to_be_bytes());
        frame[4] = kind;
        frame.extend(&bytes);
        let _ = decode(&frame);
    }

    #[test]
    fn no_damaged_frame_does_harm(command in any_command(), at in any::<prop::sample::Index>(), byte in any::<u8>()) {
        let mut frame = command.to_frame().to_vec();
        let at = at.index(frame.len());
        frame[at] = byte;
        if let Ok(Some(read)) = decode(&frame) {
            let _ = read.to_frame();
        }
    }
}

/// A binary header with one field.
fn binary_frame(key: &[u8], value: &[u8]) -> Vec<u8> {
    let mut header = vec![0, 34, 0, 2, 1, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0];
    header.extend((6 + key.len() as u32 + value.len() as u32).to_be_bytes());
    header.extend((key.len() as u16).to_be_bytes());
    header.extend(key);
    header.extend((value.len() as u32).to_be_bytes());
    header.extend(value);
    let mut frame = (4 + header.len() as u32).to_be_bytes().to_vec();
    frame.extend((1 << 24 | header.len() as u32).to_be_bytes());
    frame.extend(header);
    frame
}

#[test]
fn texts_of_a_binary_header_are_utf8_each_for_itself() {
    let whole = decode(&binary_frame("ключ".as_bytes(), "é".as_bytes())).unwrap().unwrap();
    assert_eq!(whole.fields.get("ключ"), Some("é"));
    // Key at byte 23 of the header, value 4 bytes behind its end.
    assert_eq!(decode(&binary_frame(b"ab\xff", b"v")), Err(FrameError::NotUtf8(25)));
    assert_eq!(decode(&binary_frame(b"ab", b"v\xff")), Err(FrameError::NotUtf8(30)));
    // One character, half of it in the key, half in the value.
    assert_eq!(decode(&binary_frame(b"a\xc3", b"\xa9")), Err(FrameError::NotUtf8(29)));
}
