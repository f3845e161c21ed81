//! The address under which clients reach this machine, when nobody configured one.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};

/// Names of interfaces that only this machine's own containers and guests reach.
const PRIVATE_INTERFACES: [&str; 9] = ["docker", "br-", "veth", "virbr", "cni", "flannel", "podman", "lxc", "vnet"];

/// The address clients most likely reach: that of the interface with the default route; without one, that of an
/// interface that is not a bridge to containers; at last the loopback address. Clients on this machine and in its
/// containers reach it as well.
///
/// Java takes the first address of the first interface that is up, which may be that of a container bridge.
pub fn local_address() -> String {
    let address = by_default_route(IpAddr::V4(Ipv4Addr::UNSPECIFIED), (Ipv4Addr::new(8, 8, 8, 8), 53).into())
        .or_else(by_interface)
        .or_else(|| {
            let google: Ipv6Addr = [0x2001, 0x4860, 0x4860, 0, 0, 0, 0, 0x8888].into();
            by_default_route(IpAddr::V6(Ipv6Addr::UNSPECIFIED), (google, 53).into())
        })
        .unwrap_or(IpAddr::V4(Ipv4Addr::LOCALHOST));
    address.to_string()
}

/// The source address the system would take for `peer`. Nothing is sent: a UDP socket connects without a packet.
fn by_default_route(any: IpAddr, peer: SocketAddr) -> Option<IpAddr> {
    let socket = UdpSocket::bind((any, 0)).ok()?;
    socket.connect(peer).ok()?;
    let address = socket.local_addr().ok()?.ip();
    (!address.is_loopback() && !address.is_unspecified()).then_some(address)
}

fn by_interface() -> Option<IpAddr> {
    let interfaces = if_addrs::get_if_addrs().ok()?;
    let usable = |interface: &&if_addrs::Interface| !interface.is_loopback() && interface.ip().is_ipv4();
    let own = |interface: &&if_addrs::Interface| {
        usable(interface) && !PRIVATE_INTERFACES.iter().any(|prefix| interface.name.starts_with(prefix))
    };
    interfaces.iter().find(own).or_else(|| interfaces.iter().find(usable)).map(if_addrs::Interface::ip)
}

/// `ip:port` as Java writes it: an IPv6 address without brackets gets them.
pub fn join(address: &str, port: u16) -> String {
    if address.contains(':') && !address.starts_with('[') {
        format!("[{address}]:{port}")
    } else {
        format!("{address}:{port}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_always_found() {
        let address: IpAddr = local_address().parse().unwrap();
        assert!(!address.is_unspecified());
        assert_eq!(join("10.0.0.1", 10911), "10.0.0.1:10911");
        assert_eq!(join("fe80::1", 10911), "[fe80::1]:10911");
    }
}
