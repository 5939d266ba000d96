//! System calls that are refused, and system calls at which a process is stopped.

use std::{
    collections::BTreeMap,
    fs::File,
    io,
    mem::MaybeUninit,
    os::unix::{fs::FileExt, process::CommandExt},
    process::Command,
    time::{Duration, Instant},
};

use rustix::{
    event::{PollFd, PollFlags, poll},
    fd::{AsFd, FromRawFd, OwnedFd},
    io::{Errno, IoSlice, IoSliceMut},
    ioctl::{self, Updater, opcode},
    net::{
        AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer,
        SendAncillaryMessage, SendFlags, SocketFlags, SocketType, recvmsg, sendmsg, socketpair,
    },
    process::{Pid, PidfdFlags, WaitOptions, pidfd_open, waitpgid},
    thread::set_no_new_privs,
};
use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen::Dword, SeccompCmpOp::MaskedEq, SeccompCondition,
    SeccompFilter, SeccompRule,
};

use crate::trial::{Ran, Running, error, start};

/// A system call, or only those calls that have all of these bits set in their arguments.
#[derive(Clone)]
pub struct Calls {
    pub number: usize,
    /// The index of an argument, and its bits.
    pub bits: Vec<(u8, u32)>,
}

impl Calls {
    pub fn all(number: usize) -> Calls {
        Calls { number, bits: Vec::new() }
    }

    pub fn with(number: usize, bits: &[(u8, u32)]) -> Calls {
        Calls { number, bits: bits.to_vec() }
    }
}

/// Makes the kernel refuse system calls.
pub fn refuse(command: &mut Command, calls: &[Calls], errno: Errno) {
    let mut rules: BTreeMap<i64, Vec<SeccompRule>> = BTreeMap::new();
    for call in calls {
        let conditions = call.bits.iter().map(|&(argument, bits)| {
            let bits = u64::from(bits);
            SeccompCondition::new(argument, Dword, MaskedEq(bits), bits).unwrap()
        });
        let conditions: Vec<SeccompCondition> = conditions.collect();
        let rules = rules.entry(call.number as i64).or_default();
        if !conditions.is_empty() {
            rules.push(SeccompRule::new(conditions).unwrap());
        }
    }
    let refusal = SeccompAction::Errno(errno.raw_os_error() as u32);
    let filter = program(rules, SeccompAction::Allow, refusal);
    // SAFETY: the closure makes two system calls, and nothing of it was locked by another
    // thread.
    unsafe {
        command.pre_exec(move || {
            seccompiler::apply_filter(&filter).map_err(|_| io::ErrorKind::Other.into())
        })
    };
}

fn program(
    rules: BTreeMap<i64, Vec<SeccompRule>>,
    others: SeccompAction,
    these: SeccompAction,
) -> BpfProgram {
    let arch = std::env::consts::ARCH.try_into().unwrap();
    SeccompFilter::new(rules, others, these, arch).unwrap().try_into().unwrap()
}

/// A system call at which a process is stopped, before the kernel begins it.
#[derive(Debug)]
pub struct Call {
    pub number: usize,
    pub arguments: [u64; 6],
    pid: u32,
}

impl Call {
    pub fn is(&self, number: usize) -> bool {
        self.number == number
    }

    /// Returns the thread that makes the call. In a process with one thread, it is the process.
    pub fn process(&self) -> u32 {
        self.pid
    }

    pub fn pid(&self) -> Pid {
        Pid::from_raw(self.pid as i32).expect("a process")
    }

    /// Returns the string to which an argument points.
    pub fn string(&self, argument: usize) -> Vec<u8> {
        let mut bytes = vec![0; 4200];
        let memory = File::open(format!("/proc/{}/mem", self.pid)).unwrap();
        let mut len = 0;
        while let Ok(count @ 1..) = memory
            .read_at(&mut bytes[len..(len + 64).min(4200)], self.arguments[argument] + len as u64)
        {
            let end = bytes[len..len + count].iter().position(|&byte| byte == 0);
            if let Some(end) = end {
                bytes.truncate(len + end);
                return bytes;
            }
            len += count;
        }
        bytes.truncate(len);
        bytes
    }
}

/// Runs a program, and reports each of its system calls before the kernel begins it, from the one
/// that opens the file named `source` on. Calls to exit, to close descriptors and to handle signals
/// are not reported.
#[track_caller]
pub fn watch(command: &mut Command, mut each: impl FnMut(&Call, &mut Running)) -> Ran {
    answer(command, |call, running| {
        each(call, running);
        None
    })
}

/// Runs a program as [`watch`] does, and answers those of its system calls for which `each` returns
/// a result in place of the kernel.
#[track_caller]
pub fn answer(
    command: &mut Command,
    mut each: impl FnMut(&Call, &mut Running) -> Option<Result<i64, Errno>>,
) -> Ran {
    let (ours, theirs) =
        socketpair(AddressFamily::UNIX, SocketType::STREAM, SocketFlags::CLOEXEC, None).unwrap();
    let free = [
        sc::nr::EXECVE,
        sc::nr::SENDMSG,
        sc::nr::CLOSE,
        sc::nr::RT_SIGRETURN,
        sc::nr::EXIT,
        sc::nr::FUTEX,
    ];
    let rules = free.map(|number| (number as i64, Vec::new())).into();
    let mut filter = program(rules, SeccompAction::Trace(0), SeccompAction::Allow);
    const RET: u16 = 0x06;
    const TRACE: u32 = 0x7ff0_0000;
    const USER_NOTIF: u32 = 0x7fc0_0000;
    for step in filter.iter_mut().filter(|step| step.code == RET && step.k == TRACE) {
        step.k = USER_NOTIF;
    }
    // SAFETY: system calls alone.
    unsafe {
        command.pre_exec(move || {
            set_no_new_privs(true).map_err(error)?;
            let listener = listen(&filter)?;
            let mut room = [MaybeUninit::uninit(); 64];
            let mut control = SendAncillaryBuffer::new(&mut room);
            let descriptors = [listener.as_fd()];
            control.push(SendAncillaryMessage::ScmRights(&descriptors));
            sendmsg(&theirs, &[IoSlice::new(b"!")], &mut control, SendFlags::empty())
                .map_err(error)?;
            Ok(())
        });
    }
    let mut running = start(command);
    let listener = receive(&ours);
    let pidfd = pidfd_open(running.pid(), PidfdFlags::empty()).unwrap();
    let mut begun = false;
    let mut ended = None;
    loop {
        let mut wait = [PollFd::new(&listener, PollFlags::IN), PollFd::new(&pidfd, PollFlags::IN)];
        let (wait, milliseconds) = match ended {
            None => (&mut wait[..], 120_000),
            // Other processes that the program has started may continue for a moment.
            Some(_) => (&mut wait[..1], 2),
        };
        let ready = poll(wait, Some(&Duration::from_millis(milliseconds).try_into().unwrap()));
        if ready == Err(Errno::INTR) {
            continue;
        }
        let calls = wait[0].revents();
        if !calls.contains(PollFlags::IN) {
            match ended {
                _ if calls.contains(PollFlags::HUP) => break,
                None if ready == Ok(0) => break, // it hangs
                None => {
                    running.child.wait().unwrap();
                    ended = Some(Instant::now());
                }
                Some(since) if since.elapsed() > Duration::from_secs(3) => break,
                Some(_) => {
                    let _ = waitpgid(running.pid(), WaitOptions::NOHANG);
                }
            }
            continue;
        }
        let mut notice = Notice::default();
        // SAFETY: that is what the kernel fills for this request.
        let received = unsafe {
            const RECEIVE: ioctl::Opcode = opcode::read_write::<Notice>(b'!', 0);
            ioctl::ioctl(&listener, Updater::<RECEIVE, Notice>::new(&mut notice))
        };
        if received.is_err() {
            continue; // it was killed meanwhile
        }
        let call =
            Call { number: notice.number as usize, arguments: notice.arguments, pid: notice.pid };
        begun = begun || call.is(sc::nr::OPENAT) && call.string(1).ends_with(b"source");
        let result = if begun { each(&call, &mut running) } else { None };
        const CONTINUE: u32 = 1;
        let (value, error, flags) = match result {
            None => (0, 0, CONTINUE),
            Some(Ok(value)) => (value, 0, 0),
            Some(Err(errno)) => (0, -errno.raw_os_error(), 0),
        };
        let mut answer = Answer { id: notice.id, value, error, flags };
        // SAFETY: that is what the kernel reads for this request.
        let _ = unsafe {
            const SEND: ioctl::Opcode = opcode::read_write::<Answer>(b'!', 1);
            ioctl::ioctl(&listener, Updater::<SEND, Answer>::new(&mut answer))
        };
    }
    running.end()
}

/// Reports this process's system calls to the owner of the returned descriptor.
fn listen(filter: &BpfProgram) -> io::Result<OwnedFd> {
    #[repr(C)]
    struct Program {
        len: u16,
        steps: *const seccompiler::sock_filter,
    }
    const SET_MODE_FILTER: usize = 1;
    const NEW_LISTENER: usize = 1 << 3;
    let program = Program { len: filter.len() as u16, steps: filter.as_ptr() };
    // SAFETY: the program is what the kernel expects, and as long.
    let result =
        unsafe { sc::syscall!(SECCOMP, SET_MODE_FILTER, NEW_LISTENER, &raw const program) };
    match result as isize {
        errno @ -4095..0 => Err(io::Error::from_raw_os_error(-errno as i32)),
        // SAFETY: it is new.
        fd => Ok(unsafe { OwnedFd::from_raw_fd(fd as i32) }),
    }
}

fn receive(from: &OwnedFd) -> OwnedFd {
    let mut room = [MaybeUninit::uninit(); 64];
    let mut control = RecvAncillaryBuffer::new(&mut room);
    let mut byte = [0];
    let flags = RecvFlags::CMSG_CLOEXEC;
    recvmsg(from, &mut [IoSliceMut::new(&mut byte)], &mut control, flags).unwrap();
    let descriptors = control.drain().filter_map(|message| match message {
        RecvAncillaryMessage::ScmRights(descriptors) => Some(descriptors),
        _ => None,
    });
    descriptors.flatten().next().expect("the descriptor was sent")
}

/// `struct seccomp_notif`.
#[repr(C)]
#[derive(Default)]
struct Notice {
    id: u64,
    pid: u32,
    flags: u32,
    number: i32,
    architecture: u32,
    instruction: u64,
    arguments: [u64; 6],
}

/// `struct seccomp_notif_resp`.
#[repr(C)]
struct Answer {
    id: u64,
    value: i64,
    error: i32,
    flags: u32,
}
