//! A blocking client of the remoting protocol, JSON headers: what a script asks is sent as it is, wrong or right.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};

/// An answer that takes longer is a failure of its own.
const TIMEOUT: Duration = Duration::from_secs(20);
/// `com.rocketmq.remoting.frameMaxLength` of Java.
const FRAME_BYTES_MAX: u32 = 16 << 20;
/// `MQVersion.V5_5_0`.
const VERSION: i32 = 513;
const FLAG_RESPONSE: i64 = 1;
/// Requests of the server that are kept.
const ASKED_MAX: usize = 1000;

/// What a server answers, or asks of its own accord.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// Response code, or request code.
    pub code: i64,
    /// Remark, empty when there is none.
    pub remark: String,
    /// extFields.
    pub fields: BTreeMap<String, String>,
    /// Body.
    pub body: Vec<u8>,
}

/// A connection that also keeps what the server sends of its own accord.
pub struct Connection {
    stream: TcpStream,
    opaque: i64,
    asked: Vec<Answer>,
}

impl Connection {
    /// Connects.
    ///
    /// # Errors
    /// When nobody listens there.
    pub fn open(server: SocketAddr) -> Result<Self> {
        let stream = TcpStream::connect_timeout(&server, TIMEOUT).with_context(|| format!("{server}"))?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(TIMEOUT))?;
        stream.set_write_timeout(Some(TIMEOUT))?;
        Ok(Self { stream, opaque: 0, asked: Vec::new() })
    }

    /// What the server has asked since the last call, as far as it was read by [`ask`](Self::ask).
    pub fn take_asked(&mut self) -> Vec<Answer> {
        std::mem::take(&mut self.asked)
    }

    /// Sends a request and returns its answer. Requests of the server that arrive meanwhile are kept, not answered.
    ///
    /// # Errors
    /// When the server closes the connection, answers no frame, or is silent for 20 s.
    pub fn ask(&mut self, code: i32, fields: &BTreeMap<String, String>, body: &[u8]) -> Result<Answer> {
        self.opaque += 1;
        let header = json!({
            "code": code, "language": "JAVA", "version": VERSION, "opaque": self.opaque, "flag": 0,
            "serializeTypeCurrentRPC": "JSON", "extFields": fields,
        });
        let header = serde_json::to_vec(&header)?;
        let mut frame = Vec::with_capacity(8 + header.len() + body.len());
        frame.extend_from_slice(&u32::try_from(4 + header.len() + body.len())?.to_be_bytes());
        frame.extend_from_slice(&u32::try_from(header.len())?.to_be_bytes());
        frame.extend_from_slice(&header);
        frame.extend_from_slice(body);
        self.stream.write_all(&frame)?;
        loop {
            let (header, body) = self.read_frame()?;
            if header["flag"].as_i64().unwrap_or_default() & FLAG_RESPONSE == 0 {
                if self.asked.len() < ASKED_MAX {
                    self.asked.push(answer(&header, body)?);
                }
                continue;
            }
            ensure!(header["opaque"].as_i64() == Some(self.opaque), "an answer to nothing that was asked: {header}");
            return answer(&header, body);
        }
    }

    fn read_frame(&mut self) -> Result<(Value, Vec<u8>)> {
        let total = self.read_u32().context("no answer")?;
        ensure!((4..=FRAME_BYTES_MAX).contains(&total), "a frame of {total} B");
        let header_len = self.read_u32()?;
        ensure!(header_len <= total - 4, "a header of {header_len:#x} B in a frame of {total} B");
        let mut header = vec![0; header_len as usize];
        self.stream.read_exact(&mut header)?;
        let mut body = vec![0; (total - 4 - header_len) as usize];
        self.stream.read_exact(&mut body)?;
        Ok((serde_json::from_slice(&header)?, body))
    }

    fn read_u32(&mut self) -> Result<u32> {
        let mut bytes = [0; 4];
        self.stream.read_exact(&mut bytes)?;
        Ok(u32::from_be_bytes(bytes))
    }
}

fn answer(header: &Value, body: Vec<u8>) -> Result<Answer> {
    let code = header["code"].as_i64().with_context(|| format!("an answer without code: {header}"))?;
    let remark = header["remark"].as_str().unwrap_or_default().to_owned();
    let mut fields = BTreeMap::new();
    for (key, value) in header["extFields"].as_object().into_iter().flatten() {
        let value = value.as_str().with_context(|| format!("field {key} is no string: {header}"))?;
        fields.insert(key.clone(), value.to_owned());
    }
    Ok(Answer { code, remark, fields, body })
}
