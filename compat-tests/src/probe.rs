//! A remoting client of two requests, to see which brokers a name server knows.
//!
//! Deliberately not built on `hypergol-remoting`: the runner must not share a mistake with the servers under test.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream, ToSocketAddrs};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use serde_json::{Map, Value, json};

const TIMEOUT: Duration = Duration::from_secs(3);
/// An answer larger than this is not one of ours.
const FRAME_BYTES_MAX: u32 = 16 << 20;
const GET_ROUTE_INFO_BY_TOPIC: i32 = 105;
const GET_BROKER_CLUSTER_INFO: i32 = 106;
const SUCCESS: i64 = 0;

/// Whether the name server has a route for `topic`. A registered broker has a topic of its own name.
///
/// # Errors
/// When the name server cannot be reached or does not answer in three seconds.
pub fn has_route(namesrv: &str, topic: &str) -> Result<bool> {
    let (header, _) = ask(namesrv, GET_ROUTE_INFO_BY_TOPIC, &json!({ "topic": topic }))?;
    Ok(header["code"].as_i64() == Some(SUCCESS))
}

/// Names of the brokers that have a master (id 0), sorted.
///
/// # Errors
/// When the name server cannot be reached, or answers something else than cluster information.
pub fn masters(namesrv: &str) -> Result<Vec<String>> {
    let (header, body) = ask(namesrv, GET_BROKER_CLUSTER_INFO, &json!({}))?;
    ensure!(header["code"].as_i64() == Some(SUCCESS), "{namesrv} refuses to tell its brokers: {header}");
    let body: Value = serde_json::from_str(&quote_number_keys(&String::from_utf8_lossy(&body)))
        .with_context(|| format!("cluster information of {namesrv}"))?;
    let table = body["brokerAddrTable"].as_object().cloned().unwrap_or_else(Map::new);
    let mut names: Vec<String> =
        table.iter().filter(|(_, b)| b["brokerAddrs"].get("0").is_some()).map(|(name, _)| name.clone()).collect();
    names.sort();
    Ok(names)
}

/// Address of a broker's master, from the route of the topic that has the broker's name.
///
/// # Errors
/// When the name server cannot be reached, or does not know the broker.
pub fn broker_address(namesrv: &str, broker: &str) -> Result<SocketAddr> {
    let (_, body) = ask(namesrv, GET_ROUTE_INFO_BY_TOPIC, &json!({ "topic": broker }))?;
    let route: Value = serde_json::from_str(&quote_number_keys(&String::from_utf8_lossy(&body)))
        .with_context(|| format!("route of {broker} at {namesrv}"))?;
    let address = route["brokerDatas"][0]["brokerAddrs"]["0"].as_str();
    let address = address.with_context(|| format!("{namesrv} knows no master of {broker}: {route}"))?;
    address.to_socket_addrs()?.next().with_context(|| format!("{address} is no address"))
}

/// One request on a connection of its own: header and body of the answer.
fn ask(server: &str, code: i32, ext_fields: &Value) -> Result<(Value, Vec<u8>)> {
    let address = server.to_socket_addrs()?.next().with_context(|| format!("{server} has no address"))?;
    let mut stream = TcpStream::connect_timeout(&address, TIMEOUT)?;
    stream.set_read_timeout(Some(TIMEOUT))?;
    let header = serde_json::to_vec(&json!({
        "code": code, "language": "OTHER", "version": 0, "opaque": 1, "flag": 0, "extFields": ext_fields,
    }))?;
    let header_len = u32::try_from(header.len())?;
    let mut frame = Vec::with_capacity(header.len() + 8);
    frame.extend_from_slice(&(header_len + 4).to_be_bytes());
    frame.extend_from_slice(&header_len.to_be_bytes());
    frame.extend_from_slice(&header);
    stream.write_all(&frame)?;

    let total = read_u32(&mut stream)?;
    ensure!((4..=FRAME_BYTES_MAX).contains(&total), "{server} answers a frame of {total} bytes");
    let header_len = read_u32(&mut stream)?;
    // The upper byte is the serialization: 0 is JSON.
    if header_len > total - 4 {
        bail!("{server} answers a header of {header_len:#x} in a frame of {total} bytes");
    }
    let mut header = vec![0; header_len as usize];
    stream.read_exact(&mut header)?;
    let mut body = vec![0; (total - 4 - header_len) as usize];
    stream.read_exact(&mut body)?;
    Ok((serde_json::from_slice(&header)?, body))
}

fn read_u32(stream: &mut TcpStream) -> Result<u32> {
    let mut bytes = [0; 4];
    stream.read_exact(&mut bytes)?;
    Ok(u32::from_be_bytes(bytes))
}

/// Java writes maps keyed by numbers as `{0:"…"}`; makes that JSON.
pub(crate) fn quote_number_keys(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 16);
    let (mut in_string, mut escaped) = (false, false);
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        out.push(c);
        if in_string {
            in_string = escaped || c != '"';
            escaped = !escaped && c == '\\';
            continue;
        }
        in_string = c == '"';
        if matches!(c, '{' | ',') {
            let mut digits = String::new();
            while let Some(digit) = chars.next_if(char::is_ascii_digit) {
                digits.push(digit);
            }
            if !digits.is_empty() && chars.peek() == Some(&':') {
                out.push('"');
                out.push_str(&digits);
                out.push('"');
            } else {
                out.push_str(&digits);
            }
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::quote_number_keys;

    #[test]
    fn number_keys_become_strings() {
        assert_eq!(quote_number_keys(r#"{"a":{0:"x",12:[1,2]}}"#), r#"{"a":{"0":"x","12":[1,2]}}"#);
    }

    #[test]
    fn digits_inside_strings_stay() {
        let text = r#"{"a":"{0:\",1:\\","b":[{"c":3}]}"#;
        assert_eq!(quote_number_keys(text), text);
    }
}
