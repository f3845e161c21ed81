//! One frame, decoded: a request, a one-way request or an answer.

use bytes::{Bytes, BytesMut};

use super::codec;
use super::fields::ExtFields;
use super::header::{Header, HeaderError};
use super::request_code::RequestCode;
use super::response_code::ResponseCode;

/// Version that this implementation speaks: the ordinal of `V5_5_0` in RocketMQ's MQVersion.
pub const VERSION: i32 = 513;

/// `flag` bit 0: the command is an answer.
const FLAG_RESPONSE: i32 = 1;
/// `flag` bit 1: no answer may be sent.
const FLAG_ONEWAY: i32 = 2;

/// How a header is written on the wire: byte 4 of a frame.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SerializeType {
    /// A JSON object.
    #[default]
    Json = 0,
    /// RocketMQ's binary form. Its code is 16 bits wide.
    RocketMq = 1,
}

impl SerializeType {
    /// The type of a frame's byte 4.
    pub fn from_byte(byte: u8) -> Option<Self> {
        match byte {
            0 => Some(Self::Json),
            1 => Some(Self::RocketMq),
            _ => None,
        }
    }
}

/// Implementation language of the sender, by its code on the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct LanguageCode(pub u8);

impl LanguageCode {
    /// What every answer carries: old clients fail on a name they do not know.
    pub const JAVA: Self = Self(0);
    /// C++ clients, which want other bodies in a few places.
    pub const CPP: Self = Self(1);
    /// Unknown or other.
    pub const OTHER: Self = Self(7);
    /// The Go client.
    pub const GO: Self = Self(9);

    const NAMES: [&str; 14] = [
        "JAVA", "CPP", "DOTNET", "PYTHON", "DELPHI", "ERLANG", "RUBY", "OTHER", "HTTP", "GO", "PHP", "OMS", "RUST",
        "NODE_JS",
    ];

    /// Java's name of the language; `OTHER` for a code it does not have.
    pub fn name(self) -> &'static str {
        Self::NAMES.get(usize::from(self.0)).copied().unwrap_or("OTHER")
    }

    /// The language of a name as Java writes it.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::NAMES.iter().position(|n| *n == name).map(|i| Self(i as u8))
    }
}

/// A frame: header and body.
#[derive(Clone, Debug, PartialEq)]
pub struct RemotingCommand {
    /// Request code or response code.
    pub code: i32,
    /// Language of the sender.
    pub language: LanguageCode,
    /// Version of the sender, an ordinal of MQVersion.
    pub version: i32,
    /// Correlates an answer with its request on one connection.
    pub opaque: i32,
    /// Bit 0 answer, bit 1 one-way.
    pub flag: i32,
    /// Text for people; an answer with code 0 may have one.
    pub remark: Option<String>,
    /// The custom header and whatever else was sent with it.
    pub fields: ExtFields,
    /// Empty when absent.
    pub body: Bytes,
    /// Sent after `body` as part of the same body, without being copied. Empty on received commands.
    pub more_body: Vec<Bytes>,
    /// Form of the header on the wire.
    pub serialize_type: SerializeType,
}

impl RemotingCommand {
    /// A request with `code`, without fields or body. The connection assigns its opaque.
    pub fn request(code: RequestCode) -> Self {
        Self::new(code as i32, 0)
    }

    /// A request with a custom header.
    pub fn request_with<H: Header>(code: RequestCode, header: &H) -> Self {
        Self::request(code).with_header(header)
    }

    /// Makes a received command fit to be kept: it loses its body, and no longer holds the buffer it was read into, which
    /// may hold other commands, too.
    pub fn detach_header(&mut self) {
        self.body = Bytes::new();
        self.fields.detach();
    }

    /// Bytes of memory that the header takes, without those of the struct.
    pub fn header_bytes(&self) -> usize {
        self.fields.bytes() + self.remark.as_ref().map_or(0, String::len)
    }

    /// An answer. The responder gives it opaque and serialize type of its request.
    pub fn response(code: ResponseCode) -> Self {
        Self::new(code as i32, FLAG_RESPONSE)
    }

    /// An answer with a code that has no name here (relayed from a client).
    pub fn response_raw(code: i32) -> Self {
        Self::new(code, FLAG_RESPONSE)
    }

    /// An answer with code 0.
    pub fn success() -> Self {
        Self::response(ResponseCode::Success)
    }

    /// An answer that says what went wrong.
    pub fn error(code: ResponseCode, remark: impl Into<String>) -> Self {
        Self::response(code).with_remark(remark)
    }

    fn new(code: i32, flag: i32) -> Self {
        Self {
            code,
            language: LanguageCode::JAVA,
            version: VERSION,
            opaque: 0,
            flag,
            remark: None,
            fields: ExtFields::new(),
            body: Bytes::new(),
            more_body: Vec::new(),
            serialize_type: SerializeType::Json,
        }
    }

    /// Adds the fields of `header`.
    pub fn with_header<H: Header>(mut self, header: &H) -> Self {
        header.encode(&mut self.fields);
        self
    }

    /// Sets the remark.
    pub fn with_remark(mut self, remark: impl Into<String>) -> Self {
        self.remark = Some(remark.into());
        self
    }

    /// Sets the body.
    pub fn with_body(mut self, body: impl Into<Bytes>) -> Self {
        self.body = body.into();
        self
    }

    /// Adds a field.
    pub fn with_field(mut self, key: &str, value: &str) -> Self {
        self.fields.push_str(key, value);
        self
    }

    /// Reads the custom header.
    pub fn header<H: Header>(&self) -> Result<H, HeaderError> {
        H::decode(&self.fields)
    }

    /// Whether this is an answer.
    pub fn is_response(&self) -> bool {
        self.flag & FLAG_RESPONSE != 0
    }

    /// Whether no answer may be sent.
    pub fn is_oneway(&self) -> bool {
        self.flag & FLAG_ONEWAY != 0
    }

    /// Marks a request as one-way.
    pub fn mark_oneway(&mut self) {
        self.flag |= FLAG_ONEWAY;
    }

    /// Marks a command as an answer.
    pub fn mark_response(&mut self) {
        self.flag |= FLAG_RESPONSE;
    }

    /// Length of the body in bytes, [`Self::more_body`] included.
    pub fn body_len(&self) -> usize {
        self.body.len() + self.more_body.iter().map(Bytes::len).sum::<usize>()
    }

    /// The whole frame in one buffer, for tests and tools; the connection writes without joining the body.
    pub fn to_frame(&self) -> Bytes {
        let mut out = BytesMut::new();
        codec::encode_head(self, &mut out);
        out.extend_from_slice(&self.body);
        for chunk in &self.more_body {
            out.extend_from_slice(chunk);
        }
        out.freeze()
    }
}
