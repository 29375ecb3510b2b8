//! A wall before a server: a TCP proxy that can shut out those who come from another room, and them alone.
//!
//! Rooms are told apart by the loopback address that somebody comes from: daemons and tests by 127.0.0.1, servers and
//! sentinels that are to be shut out by another one.

use std::net::{IpAddr, Ipv4Addr, Shutdown, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

/// A proxy on a free port of 127.0.0.1.
pub(crate) struct Wall {
    port: u16,
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    shut: AtomicBool,
    closed: AtomicBool,
    /// Connections with the room they come from.
    open: Mutex<Vec<(IpAddr, TcpStream)>>,
}

impl Shared {
    /// Ends the connections of those for whom `whose` says yes.
    fn end(&self, whose: impl Fn(&IpAddr) -> bool) {
        self.open.lock().unwrap().retain(|(from, stream)| {
            if whose(from) {
                let _ = stream.shutdown(Shutdown::Both);
            }
            !whose(from)
        });
    }
}

impl Wall {
    /// Begins to pass everybody on to this port of 127.0.0.1.
    pub(crate) fn before(server: u16) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        let shared = Arc::new(Shared::default());
        let accepting = Arc::clone(&shared);
        std::thread::spawn(move || {
            for inside in listener.incoming().map_while(Result::ok) {
                if accepting.closed.load(Ordering::SeqCst) {
                    return;
                }
                let Ok(from) = inside.peer_addr().map(|address| address.ip()) else { continue };
                let shut_out = accepting.shut.load(Ordering::SeqCst) && from != Ipv4Addr::LOCALHOST;
                // A server that is away refuses; so does the wall, by closing.
                let Some(outside) = TcpStream::connect((Ipv4Addr::LOCALHOST, server)).ok().filter(|_| !shut_out) else {
                    continue;
                };
                accepting.open.lock().unwrap().push((from, inside.try_clone().unwrap()));
                pass(inside.try_clone().unwrap(), outside.try_clone().unwrap());
                pass(outside, inside);
            }
        });
        Self { port, shared }
    }

    /// Where it listens.
    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    /// Shuts out everybody who does not come from 127.0.0.1, and ends their connections.
    pub(crate) fn shut(&self) {
        self.shared.shut.store(true, Ordering::SeqCst);
        self.shared.end(|from| *from != Ipv4Addr::LOCALHOST);
    }

    /// Lets everybody in again.
    pub(crate) fn open(&self) {
        self.shared.shut.store(false, Ordering::SeqCst);
    }
}

impl Drop for Wall {
    fn drop(&mut self) {
        self.shared.closed.store(true, Ordering::SeqCst);
        self.shared.end(|_| true);
        // Wakes the accepting thread.
        let _ = TcpStream::connect((Ipv4Addr::LOCALHOST, self.port));
    }
}

/// Passes on what comes, until one of them ends.
fn pass(mut from: TcpStream, mut to: TcpStream) {
    std::thread::spawn(move || {
        let _ = std::io::copy(&mut from, &mut to);
        let _ = to.shutdown(Shutdown::Both);
        let _ = from.shutdown(Shutdown::Both);
    });
}
