//! A warm interpreter that forks a child for each program, seen from outside: started, given work, killed.

use crate::{
    error::Unsupported,
    python::{FLAGS, Python},
    sys::{self, Confine},
};
use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    fs::MemfdFlags,
    net::{
        AddressFamily, SendAncillaryBuffer, SendAncillaryMessage, SendFlags, SocketFlags,
        SocketType, sendmsg, socketpair,
    },
};
use std::{
    fs::File,
    io::{self, IoSlice, Read, Seek, Write},
    mem::MaybeUninit,
    os::{
        fd::{AsFd, BorrowedFd, OwnedFd},
        unix::process::ExitStatusExt,
    },
    path::Path,
    process::{Child, Command, ExitStatus, Stdio},
    time::{Duration, Instant},
};

/// How long a zygote may take to start, or to say that a killed child is gone, before it counts as stuck.
const PATIENCE: Duration = Duration::from_secs(20);

/// A running zygote. Dropping it kills it, and with it its child.
pub(crate) struct Zygote {
    child: Child,
    control: File,
    /// Children it has forked.
    pub(crate) forked: u32,
}

/// How a child ended.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ending {
    pub(crate) status: ExitStatus,
    pub(crate) cpu: Duration,
    /// The largest resident size, in bytes.
    pub(crate) peak: u64,
}

/// What a zygote is started with.
pub(crate) struct Start<'a> {
    pub(crate) python: &'a Python,
    pub(crate) script: &'a str,
    /// Modules to load ahead.
    pub(crate) modules: &'a [&'a str],
    pub(crate) filter: &'a [u8],
    pub(crate) rules: OwnedFd,
    pub(crate) uid: Option<u32>,
    pub(crate) folder: &'a Path,
}

impl Zygote {
    /// Starts one and waits until it is warm.
    ///
    /// # Errors
    ///
    /// It does not start under its confinement.
    pub(crate) fn start(start: Start) -> Result<Self, Unsupported> {
        let failed = |error: io::Error| Unsupported::Python(error.to_string());
        let flags = SocketFlags::CLOEXEC;
        let (ours, theirs) = socketpair(AddressFamily::UNIX, SocketType::STREAM, flags, None)
            .map_err(|error| failed(error.into()))?;
        let errors = memory("errors").map_err(failed)?;
        let mut command = Command::new(&start.python.program);
        command
            .args(FLAGS)
            .arg(script(&start))
            .current_dir(start.folder);
        command.stdin(Stdio::from(theirs)).stdout(Stdio::null());
        command.stderr(Stdio::from(errors.try_clone().map_err(failed)?));
        let confine = Confine {
            rules: Some(start.rules),
            uid: start.uid,
        };
        let child = sys::spawn(&mut command, confine).map_err(failed)?;
        // What the command holds must be closed here, or the end of the other side is never seen.
        drop(command);
        let mut zygote = Self {
            child,
            control: File::from(ours),
            forked: 0,
        };
        zygote
            .warm()
            .map_err(|error| Unsupported::Python(said(error, errors)))?;
        Ok(zygote)
    }

    fn warm(&mut self) -> io::Result<()> {
        let mut word = [0];
        self.within(PATIENCE)?;
        self.control.read_exact(&mut word)
    }

    /// Has it fork a child that gets these descriptors as 1, 2, 3 and on.
    pub(crate) fn fork(&mut self, descriptors: &[BorrowedFd]) -> io::Result<()> {
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(8))];
        let mut ancillary = SendAncillaryBuffer::new(&mut space);
        if !ancillary.push(SendAncillaryMessage::ScmRights(descriptors)) {
            return Err(io::Error::other("too many descriptors for one child"));
        }
        let word = [IoSlice::new(b"S")];
        sendmsg(&self.control, &word, &mut ancillary, SendFlags::NOSIGNAL)?;
        self.forked += 1;
        Ok(())
    }

    /// Has it kill its child; nothing where the child has just ended.
    pub(crate) fn kill(&mut self) -> io::Result<()> {
        let none = &mut SendAncillaryBuffer::default();
        sendmsg(
            &self.control,
            &[IoSlice::new(b"K")],
            none,
            SendFlags::NOSIGNAL,
        )?;
        Ok(())
    }

    /// How its child ended, once it is readable.
    pub(crate) fn ending(&mut self) -> io::Result<Ending> {
        let mut bytes = [0; 24];
        self.within(PATIENCE)?;
        self.control.read_exact(&mut bytes)?;
        let [a, b, c, d, e, f, g, h, rest @ ..] = bytes;
        let [cpu, peak] = halves(rest).map(u64::from_ne_bytes);
        let error = i32::from_ne_bytes([e, f, g, h]);
        if error != 0 {
            return Err(io::Error::from_raw_os_error(error));
        }
        Ok(Ending {
            status: ExitStatus::from_raw(i32::from_ne_bytes([a, b, c, d])),
            cpu: Duration::from_micros(cpu),
            peak: peak * 1024,
        })
    }

    fn within(&self, patience: Duration) -> io::Result<()> {
        if wait(&[self], Instant::now() + patience)?.is_empty() {
            return Err(io::ErrorKind::TimedOut.into());
        }
        Ok(())
    }
}

impl Drop for Zygote {
    /// The end of the socket makes it kill and bury its child and leave; one that is stuck is killed, and its child with
    /// it, by the signal it asked for.
    fn drop(&mut self) {
        let _ = rustix::net::shutdown(&self.control, rustix::net::Shutdown::Both);
        let patience = Instant::now() + Duration::from_secs(2);
        while Instant::now() < patience {
            if !matches!(self.child.try_wait(), Ok(None)) {
                return;
            }
            std::thread::sleep(Duration::from_millis(1));
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Which of some zygotes have something to say, waiting until a time; none of them then.
pub(crate) fn wait(zygotes: &[&Zygote], until: Instant) -> io::Result<Vec<usize>> {
    let mut polled: Vec<PollFd> = zygotes
        .iter()
        .map(|zygote| PollFd::from_borrowed_fd(zygote.control.as_fd(), PollFlags::IN))
        .collect();
    loop {
        let left = until.saturating_duration_since(Instant::now());
        let left = Timespec::try_from(left).map_err(io::Error::other)?;
        match poll(&mut polled, Some(&left)) {
            Ok(_) => break,
            Err(rustix::io::Errno::INTR) => continue,
            Err(error) => return Err(error.into()),
        }
    }
    let ready = |(i, fd): (usize, &PollFd)| (!fd.revents().is_empty()).then_some(i);
    Ok(polled.iter().enumerate().filter_map(ready).collect())
}

/// A file in memory, that no other process sees by name.
pub(crate) fn memory(name: &str) -> io::Result<File> {
    Ok(rustix::fs::memfd_create(name, MemfdFlags::CLOEXEC)?.into())
}

/// A file in memory with something in it, to be read from its start.
pub(crate) fn holding(name: &str, bytes: &[u8]) -> io::Result<File> {
    let mut file = memory(name)?;
    file.write_all(bytes)?;
    file.rewind()?;
    Ok(file)
}

fn halves(bytes: [u8; 16]) -> [[u8; 8]; 2] {
    let mut halves = [[0; 8]; 2];
    halves[0].copy_from_slice(&bytes[..8]);
    halves[1].copy_from_slice(&bytes[8..]);
    halves
}

fn script(start: &Start) -> String {
    let modules = serde_json::to_string(start.modules).unwrap_or_default();
    let filter: String = start.filter.iter().map(|b| format!("{b:02x}")).collect();
    format!(
        "{}\nforever({modules}, bytes.fromhex(\"{filter}\"))\n",
        start.script
    )
}

/// Why a zygote did not start: what it wrote, or else what we saw.
fn said(error: io::Error, mut errors: File) -> String {
    let mut text = String::new();
    let _ = errors.rewind();
    let _ = errors.read_to_string(&mut text);
    match text.lines().last() {
        Some(last) => format!("it does not start when confined: {last}"),
        None => format!("it does not start when confined: {error}"),
    }
}
