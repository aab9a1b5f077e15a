//! Ports that are in use are found before anything is started, and it is said by whom.

use std::collections::BTreeMap;
use std::fs;
use std::net::{Ipv4Addr, TcpListener};

/// A port that is needed, and what for.
#[derive(Clone, Debug)]
pub struct Port {
    /// Its number, on loopback.
    pub number: u16,
    /// What it is for.
    pub for_what: String,
}

/// Ports that somebody else has.
#[derive(Debug, thiserror::Error)]
#[error("{}", .0.join("\n"))]
pub struct Taken(Vec<String>);

/// Are all of them free?
pub fn all_free(ports: &[Port]) -> Result<(), Taken> {
    let mut told = Vec::new();
    let mut of_demos: BTreeMap<u32, Vec<&Port>> = BTreeMap::new();
    for port in ports.iter().filter(|port| !is_free(port.number)) {
        let holder = holder(port.number);
        match holder.as_ref().and_then(|(pid, _)| demo_of(*pid)) {
            Some(demo) => of_demos.entry(demo).or_default().push(port),
            None => told.push(words(port, holder)),
        }
    }
    told.extend(of_demos.iter().map(|(demo, ports)| words_of_demo(*demo, ports)));
    if told.is_empty() { Ok(()) } else { Err(Taken(told)) }
}

fn is_free(number: u16) -> bool {
    TcpListener::bind((Ipv4Addr::LOCALHOST, number)).is_ok()
}

fn words(port: &Port, holder: Option<(u32, String)>) -> String {
    let Port { number, for_what } = port;
    match holder {
        Some((pid, program)) => format!(
            "port {number}, for {for_what}, is in use by {program} (process {pid}); end it with `kill {pid}`"
        ),
        None => format!(
            "port {number}, for {for_what}, is in use by a process we may not look into; \
             `sudo ss -ltnp 'sport = :{number}'` says which"
        ),
    }
}

/// A demo has them all, or nearly; a line each would say less than one for all.
fn words_of_demo(demo: u32, ports: &[&Port]) -> String {
    let first = ports.first().map(|port| format!("{}, for {}", port.number, port.for_what));
    let more = match ports.len() {
        1 => String::new(),
        many => format!(", and {} ports more", many - 1),
    };
    format!(
        "another demo is running (process {demo}): it has port {}{more}; end it with `kill {demo}`",
        first.unwrap_or_default()
    )
}

/// The demo a process belongs to: it, or one it was started by.
fn demo_of(pid: u32) -> Option<u32> {
    let own = comm(std::process::id());
    // Nobody has more than a few parents that matter; and no table of processes is read in one moment.
    std::iter::successors(Some(pid), |pid| parent(*pid))
        .take(8)
        .find(|pid| *pid != std::process::id() && comm(*pid) == own)
}

/// The kernel's table of a process: `pid (name) state parent ...`, and the name may hold anything.
fn parent(pid: u32) -> Option<u32> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    stat.rsplit_once(") ")?.1.split(' ').nth(1)?.parse().ok()
}

fn comm(pid: u32) -> String {
    fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default().trim().to_owned()
}

/// The process that listens there: its id and its program.
fn holder(port: u16) -> Option<(u32, String)> {
    let inodes: Vec<String> = ["/proc/net/tcp", "/proc/net/tcp6"]
        .iter()
        .flat_map(|table| listening_at(&fs::read_to_string(table).unwrap_or_default(), port))
        .map(|inode| format!("socket:[{inode}]"))
        .collect();
    let processes = fs::read_dir("/proc").ok()?.flatten();
    processes.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok()).find_map(|pid| {
        let mut open = fs::read_dir(format!("/proc/{pid}/fd")).ok()?.flatten();
        open.find(|file| {
            fs::read_link(file.path())
                .is_ok_and(|to| inodes.iter().any(|inode| to.as_os_str() == inode.as_str()))
        })?;
        Some((pid, comm(pid)))
    })
}

/// The inodes of the sockets that listen at a port, from a table of the kernel: local address in the second column, the
/// state in the fourth (0A listens), the inode in the tenth.
fn listening_at(table: &str, port: u16) -> Vec<String> {
    let suffix = format!(":{port:04X}");
    let rows = table.lines().skip(1).map(|line| line.split_whitespace().collect::<Vec<_>>());
    rows.filter(|row| row.get(1).is_some_and(|local| local.ends_with(&suffix)) && row.get(3) == Some(&"0A"))
        .filter_map(|row| row.get(9).map(|inode| (*inode).to_owned()))
        .collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test that cannot go on says where")]
    use super::*;

    #[test]
    fn a_port_in_use_is_told_with_what_it_is_for_and_who_has_it() {
        let other = TcpListener::bind("127.0.0.1:0").unwrap();
        let number = other.local_addr().unwrap().port();
        let port = Port { number, for_what: "the payment service".to_owned() };
        let told = all_free(std::slice::from_ref(&port)).unwrap_err().to_string();
        let own = std::process::id();
        assert!(told.contains(&format!("port {number}, for the payment service, is in use by ")), "{told}");
        assert!(told.ends_with(&format!("`kill {own}`")), "{told}");
        drop(other);
        assert!(all_free(&[port]).is_ok());
    }
}
