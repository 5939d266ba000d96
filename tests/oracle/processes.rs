//! Processes, threads and their limits.
//!
//! SAFETY of all calls here: a child makes raw calls only; the others are refused, or concern a child.

use super::*;

#[test]
fn calls_on_processes_refuse_what_the_kernel_refuses() {
    let me = std::process::id() as Pid;
    let my_thread = rustix::thread::gettid().as_raw_nonzero().get();

    refused(
        "kill",
        &[
            ("nobody", Errno::ESRCH, (NOBODY, 15)),
            ("nobody, only asked", Errno::ESRCH, (NOBODY, 0)),
            ("no group", Errno::ESRCH, (-NOBODY, 15)),
            ("no signal", Errno::EINVAL, (me, 65)),
        ],
        |(pid, signal)| syscall::kill(pid, (signal != 0).then_some(Signal(signal))),
        |(pid, signal)| unsafe { sc::syscall!(KILL, pid, signal) },
    );
    refused(
        "tgkill",
        &[
            ("nobody", Errno::ESRCH, (NOBODY, NOBODY, 15)),
            ("no thread", Errno::ESRCH, (me, NOBODY, 15)),
            ("another's thread", Errno::ESRCH, (NOBODY, my_thread, 15)),
            ("process 0", Errno::EINVAL, (0, my_thread, 15)),
            ("thread -1", Errno::EINVAL, (me, -1, 15)),
            ("no signal", Errno::EINVAL, (me, my_thread, 65)),
        ],
        |(pid, thread, signal)| syscall::tgkill(pid, thread, Signal(signal)),
        |(pid, thread, signal)| unsafe { sc::syscall!(TGKILL, pid, thread, signal) },
    );
    assert_eq!(syscall::raise(Signal(65)), Err(Errno::EINVAL));

    let mut info = [0_u64; 16];
    let info = info.as_mut_ptr();
    refused(
        "waitid",
        &[
            ("nobody", Errno::ECHILD, (NOBODY, kernel::WEXITED)),
            ("itself", Errno::ECHILD, (me, kernel::WEXITED)),
            ("process 0", Errno::EINVAL, (0, kernel::WEXITED)),
            ("nothing to wait for", Errno::EINVAL, (NOBODY, 0)),
            ("unknown flag", Errno::EINVAL, (NOBODY, kernel::WEXITED | 1 << 20)),
        ],
        |(pid, flags)| syscall::waitid(Some(pid), WaitFlags::from_bits_retain(flags)),
        |(pid, flags)| unsafe { sc::syscall!(WAITID, kernel::P_PID, pid, info, flags, 0) },
    );

    let set = prctl::PR_SET_NO_NEW_PRIVS;
    refused(
        "prctl",
        &[
            ("unknown", Errno::EINVAL, (9999, [0; 4])),
            ("bad address", Errno::EFAULT, (prctl::PR_SET_NAME, [NOWHERE as usize, 0, 0, 0])),
            ("first argument", Errno::EINVAL, (set, [2, 0, 0, 0])),
            ("second argument", Errno::EINVAL, (set, [1, 1, 0, 0])),
            ("third argument", Errno::EINVAL, (set, [1, 0, 1, 0])),
            ("fourth argument", Errno::EINVAL, (set, [1, 0, 0, 1])),
        ],
        |(option, arguments)| unsafe { syscall::prctl(option, arguments) },
        |(option, [a, b, c, d])| unsafe { sc::syscall!(PRCTL, option, a, b, c, d) },
    );

    let mut buffer = [0_u8; 8];
    let buffer = buffer.as_mut_ptr();
    refused(
        "getrandom",
        &[
            ("unknown flag", Errno::EINVAL, 1 << 16),
            ("secure and not", Errno::EINVAL, kernel::GRND_RANDOM | kernel::GRND_INSECURE),
        ],
        |flags| syscall::getrandom(&mut [0; 8], GetrandomFlags::from_bits_retain(flags)),
        |flags| unsafe { sc::syscall!(GETRANDOM, buffer, 8, flags) },
    );

    let mut mask = [0_usize; 128];
    let mask = mask.as_mut_ptr();
    refused(
        "sched_getaffinity",
        &[
            ("no room", Errno::EINVAL, (0, 0)),
            ("nobody", Errno::ESRCH, (NOBODY, 128)),
            ("thread -1", Errno::ESRCH, (-1, 128)),
        ],
        |(thread, words)| syscall::sched_getaffinity(thread, &mut [0; 128][..words]),
        |(thread, words)| unsafe { sc::syscall!(SCHED_GETAFFINITY, thread, words * 8, mask) },
    );

    let none = u64::MAX;
    refused(
        "prlimit",
        &[
            ("unknown", Errno::EINVAL, (0, 99, None)),
            ("nobody", Errno::ESRCH, (NOBODY, kernel::RLIMIT_CORE, None)),
            ("current above maximum", Errno::EINVAL, (0, kernel::RLIMIT_CORE, Some([2, 1]))),
            ("above the system's", Errno::EPERM, (0, kernel::RLIMIT_NOFILE, Some([5, none]))),
        ],
        |(pid, resource, limit)| {
            let limit = limit.map(|[current, maximum]| Rlimit { current, maximum });
            syscall::prlimit(pid, Resource(resource), limit)
        },
        |(pid, resource, limit)| {
            let limit = limit.as_ref().map_or(ptr::null(), ptr::from_ref);
            unsafe { sc::syscall!(PRLIMIT64, pid, resource, limit, 0) }
        },
    );

    refused(
        "clone",
        &[
            ("handlers without memory", Errno::EINVAL, kernel::CLONE_SIGHAND),
            ("thread without handlers", Errno::EINVAL, kernel::CLONE_THREAD),
        ],
        |flags| unsafe { syscall::clone(CloneFlags::from_bits_retain(flags), None) },
        |flags| unsafe { sc::syscall!(CLONE, flags, 0, 0, 0, 0) },
    );
    // Only the library's call is made, which must reject two processes on one stack.
    let shared = unsafe { syscall::clone(CloneFlags::VM, None) };
    assert_eq!(shared, Err(Errno::EINVAL));
}

#[test]
fn getpid_and_gettid_return_the_same_as_rustix() {
    assert_eq!(syscall::getpid(), std::process::id() as Pid);
    assert_eq!(syscall::getppid(), std::os::unix::process::parent_id() as Pid);
    let mine = syscall::gettid();
    assert_eq!(mine, rustix::thread::gettid().as_raw_nonzero().get());
    let other = std::thread::spawn(|| {
        assert_eq!(syscall::getpid(), std::process::id() as Pid);
        assert_eq!(syscall::gettid(), rustix::thread::gettid().as_raw_nonzero().get());
        syscall::gettid()
    });
    assert_ne!(other.join().unwrap(), mine);

    let told = Region::shared(1);
    let pid = start(|| unsafe {
        check!(syscall::gettid() == syscall::getpid());
        told.0.cast::<Pid>().write_volatile(syscall::getpid());
        Ok(())
    });
    assert_eq!(wait(pid), WaitStatus::Exited(0));
    assert_eq!(unsafe { told.0.cast::<Pid>().read_volatile() }, pid);
}

/// Waits without reaping the child, so that the oracle can wait for it, too.
fn wait_twice(pid: Pid) -> (WaitStatus, rustix::process::WaitIdStatus) {
    let flags = WaitFlags::EXITED | WaitFlags::NOWAIT;
    let (who, ours) = syscall::waitid(Some(pid), flags).unwrap().unwrap();
    assert_eq!(who, pid);
    let pid = rustix::process::WaitId::Pid(rustix::process::Pid::from_raw(pid).unwrap());
    let oracle = rustix::process::waitid(pid, rustix::process::WaitIdOptions::EXITED);
    (ours, oracle.unwrap().unwrap())
}

#[test]
fn exit_statuses_arrive() {
    for (status, told) in [(0, 0), (1, 1), (77, 77), (255, 255), (0x1234, 0x34), (-1, 255)] {
        let _case = case!(status, told);
        let (ours, oracle) = wait_twice(start(|| status));
        assert_eq!(ours, WaitStatus::Exited(told), "{status}");
        assert_eq!(oracle.exit_status(), Some(told), "{status}");
        assert_eq!(oracle.raw_code() as u32, kernel::CLD_EXITED);
    }
    // The exit of the last thread ends the process.
    let (ours, oracle) = wait_twice(start::<i32>(|| unsafe { syscall::exit(5) }));
    assert_eq!((ours, oracle.exit_status()), (WaitStatus::Exited(5), Some(5)));
}

#[test]
fn waitid_reports_the_signal_that_ended_a_child() {
    // KILL, and a signal whose default action the child restores, because this process ignores or
    // handles it.
    for signal in [Signal::KILL, Signal::TERM, Signal::PIPE, Signal::ALRM] {
        let _case = case!(signal);
        let pid = start(|| unsafe {
            let default = action(Disposition::Default, SaFlags::empty());
            check!(signal == Signal::KILL || syscall::rt_sigaction(signal, Some(&default)).is_ok());
            check!(syscall::kill(syscall::getpid(), None) == Ok(()));
            check!(syscall::kill(syscall::getpid(), Some(signal)) == Ok(()));
            Err(Failure::new("the signal does not end the process"))
        });
        let (ours, oracle) = wait_twice(pid);
        assert_eq!(ours, WaitStatus::Killed(signal, false));
        assert_eq!(oracle.terminating_signal(), Some(signal.0 as i32));
    }
    // Whether a core dump is written depends on the machine. Both libraries must report the same. A
    // core file is removed with the directory.
    let scratch = Scratch::new("killed");
    let dir = c(scratch.path(""));
    let pid = start(|| unsafe {
        check!(sc::syscall!(CHDIR, dir.as_ptr()) == 0);
        let limit = syscall::prlimit(0, Resource::CORE, None)?;
        let limit = Rlimit { current: limit.maximum, ..limit };
        check!(syscall::prlimit(0, Resource::CORE, Some(limit)).is_ok());
        // The core dump contains no memory, because reading the memory of other tests would make
        // pages resident.
        let filter = c"/proc/self/coredump_filter";
        let filter = syscall::open(filter, OFlags::WRONLY, Mode::empty())?;
        check!(syscall::write(filter.as_fd(), b"0") == Ok(1));
        let default = action(Disposition::Default, SaFlags::empty());
        check!(syscall::rt_sigaction(Signal::QUIT, Some(&default)).is_ok());
        check!(syscall::raise(Signal::QUIT) == Ok(()));
        Err(Failure::new("the signal does not end the process"))
    });
    let (ours, oracle) = wait_twice(pid);
    assert_eq!(ours, WaitStatus::Killed(Signal::QUIT, oracle.dumped()));
}

#[test]
fn waitid_reports_that_a_child_stops_and_continues() {
    let pid = start(|| {
        check!(syscall::raise(Signal::STOP) == Ok(()));
        sleep_forever()
    });
    let wait = |flags| syscall::waitid(Some(pid), flags).unwrap();
    let stopped = WaitStatus::Other(kernel::CLD_STOPPED as i32, Signal::STOP.0 as i32);
    assert_eq!(wait(WaitFlags::STOPPED), Some((pid, stopped)));
    assert_eq!(wait(WaitFlags::EXITED | WaitFlags::NOHANG), None);
    assert_eq!(syscall::kill(pid, Some(Signal::CONT)), Ok(()));
    let continued = WaitStatus::Other(kernel::CLD_CONTINUED as i32, Signal::CONT.0 as i32);
    assert_eq!(wait(WaitFlags::CONTINUED), Some((pid, continued)));
    assert_eq!(syscall::kill(pid, None), Ok(()));
    assert_eq!(syscall::kill(pid, Some(Signal::KILL)), Ok(()));
    assert_eq!(wait(WaitFlags::EXITED), Some((pid, WaitStatus::Killed(Signal::KILL, false))));
    let gone = syscall::waitid(Some(pid), WaitFlags::EXITED);
    assert_eq!(gone, Err(Errno::ECHILD), "told once");
}

#[test]
fn waitid_without_a_number_waits_for_any_child() {
    // In a child, which has no children of other tests.
    in_child(|| {
        check!(syscall::waitid(None, WaitFlags::EXITED) == Err(Errno::ECHILD));
        let pid = start(|| 9);
        let end = syscall::waitid(None, WaitFlags::EXITED);
        check!(end == Ok(Some((pid, WaitStatus::Exited(9)))));
        Ok(())
    });
}

#[test]
fn clone_shares_what_its_flags_name() {
    let file = memfd("shared", 0);
    let fd = rustix(number(&file));
    for (flags, shared) in [(CloneFlags::empty(), false), (CloneFlags::FILES, true)] {
        rustix::io::fcntl_setfd(fd, rustix::io::FdFlags::CLOEXEC).unwrap();
        match unsafe { syscall::clone(flags, Some(Signal::CHLD)) }.unwrap() {
            None => unsafe {
                sc::syscall!(FCNTL, number(&file), kernel::F_SETFD, 0);
                syscall::exit_group(0)
            },
            Some(pid) => assert_eq!(wait(pid), WaitStatus::Exited(0)),
        }
        let changed = rustix::io::fcntl_getfd(fd).unwrap().is_empty();
        assert_eq!(changed, shared, "{flags:?}");
    }

    // With VFORK, the parent continues only after the child's end, however long that takes.
    let told = Region::shared(1);
    let pid = match unsafe { syscall::clone(CloneFlags::VFORK, Some(Signal::CHLD)) }.unwrap() {
        None => {
            let _ = syscall::nanosleep(Timespec { sec: 0, nsec: 20_000_000 });
            told.put(0, 1);
            syscall::exit_group(6)
        }
        Some(pid) => pid,
    };
    assert_eq!(told.get(0), 1);
    assert_eq!(wait(pid), WaitStatus::Exited(6));

    // A child that sends no signal at its end is waited for with `__WALL` only (wait(2)).
    let pid = match unsafe { syscall::clone(CloneFlags::empty(), None) }.unwrap() {
        None => syscall::exit_group(8),
        Some(pid) => pid,
    };
    assert_eq!(syscall::waitid(Some(pid), WaitFlags::EXITED), Err(Errno::ECHILD));
    let all = WaitFlags::EXITED | WaitFlags::from_bits_retain(kernel::__WALL);
    assert_eq!(syscall::waitid(Some(pid), all), Ok(Some((pid, WaitStatus::Exited(8)))));
}

/// Parent and child share a stack: the child returns from `clone` and calls `exit_group` before the
/// parent returns. The call is rejected, or works. It is made in a child, because a wrong return
/// address would end the process.
#[test]
fn the_parent_continues_after_clone_with_shared_memory() {
    in_child(|| {
        let flags = CloneFlags::VM | CloneFlags::VFORK;
        let pid = match unsafe { syscall::clone(flags, Some(Signal::CHLD)) } {
            Ok(None) => syscall::exit_group(7),
            Ok(Some(pid)) => pid,
            Err(Errno::EINVAL) => return Ok(()),
            Err(error) => return Err(error.into()),
        };
        let end = syscall::waitid(Some(pid), WaitFlags::EXITED);
        check!(end == Ok(Some((pid, WaitStatus::Exited(7)))));
        Ok(())
    });
}

#[test]
fn prctl_sets_the_name_of_a_thread() {
    std::thread::spawn(|| {
        let name = c"renamed".as_ptr() as usize;
        let set = unsafe { syscall::prctl(prctl::PR_SET_NAME, [name, 0, 0, 0]) };
        assert_eq!(set, Ok(0));
        assert_eq!(fs::read_to_string("/proc/thread-self/comm").unwrap(), "renamed\n");
        let value = unsafe { syscall::prctl(prctl::PR_GET_NO_NEW_PRIVS, [0; 4]) };
        let oracle = rustix::thread::no_new_privs().unwrap();
        assert_eq!(value, Ok(oracle.into()));
    })
    .join()
    .unwrap();
}

#[test]
fn getrandom_fills_the_whole_buffer() {
    let none = GetrandomFlags::empty();
    assert_eq!(syscall::getrandom(&mut [], none), Ok(0));
    for flags in [none, GetrandomFlags::NONBLOCK, GetrandomFlags::INSECURE] {
        let _case = case!(flags);
        let mut buffers = [[0_u8; 258]; 2];
        for buffer in &mut buffers {
            let _case = case!(buffer);
            assert_eq!(syscall::getrandom(&mut buffer[1..257], flags), Ok(256), "{flags:?}");
            assert_eq!((buffer[0], buffer[257]), (0, 0), "not beyond");
            // 32 zeros in a row have a probability of 2^-256.
            assert!(buffer[1..257].chunks(32).all(|chunk| chunk.iter().any(|&byte| byte != 0)));
        }
        assert_ne!(buffers[0], buffers[1]);
    }
}

#[test]
fn sched_getaffinity_agrees_with_rustix() {
    let (mut ours, mut oracle) = ([0_usize; 128], [0_usize; 128]);
    for thread in [0, syscall::gettid()] {
        let _case = case!(thread);
        let filled = syscall::sched_getaffinity(thread, &mut ours).unwrap();
        let to = oracle.as_mut_ptr();
        let told = unsafe { sc::syscall!(SCHED_GETAFFINITY, thread, 1024, to) };
        assert_eq!(Ok(filled), outcome(told));
        assert_eq!(ours, oracle);
    }
    let set = rustix::thread::sched_getaffinity(None).unwrap();
    for cpu in 0..1024 {
        assert_eq!(ours[cpu / 64] >> (cpu % 64) & 1 == 1, set.is_set(cpu), "{cpu}");
    }
    assert!(set.count() >= 1);
}

#[test]
fn prlimit_agrees_with_rustix() {
    use rustix::process::Resource as Oracle;

    let table = [
        (Resource::AS, Oracle::As),
        (Resource::CORE, Oracle::Core),
        (Resource::CPU, Oracle::Cpu),
        (Resource::DATA, Oracle::Data),
        (Resource::FSIZE, Oracle::Fsize),
        (Resource::MEMLOCK, Oracle::Memlock),
        (Resource::NOFILE, Oracle::Nofile),
        (Resource::NPROC, Oracle::Nproc),
        (Resource::STACK, Oracle::Stack),
    ];
    for (resource, other) in table {
        let _case = case!(resource, other);
        let limit = syscall::prlimit(0, resource, None).unwrap();
        let oracle = rustix::process::getrlimit(other);
        let none = u64::MAX;
        assert_eq!(limit.current, oracle.current.unwrap_or(none), "{resource:?}");
        assert_eq!(limit.maximum, oracle.maximum.unwrap_or(none), "{resource:?}");
        assert_eq!(syscall::prlimit(syscall::getpid(), resource, None), Ok(limit));
    }

    let before = syscall::prlimit(0, Resource::NOFILE, None).unwrap();
    in_child(|| {
        let limit = Rlimit { current: 33, maximum: 44 };
        check!(syscall::prlimit(0, Resource::NOFILE, Some(limit)) == Ok(before));
        let mut seen = [0_u64; 2];
        let to = seen.as_mut_ptr();
        check!(unsafe { sc::syscall!(PRLIMIT64, 0, kernel::RLIMIT_NOFILE, 0, to) } == 0);
        check!(seen == [33, 44]);
        check!(syscall::prlimit(0, Resource::NOFILE, None) == Ok(limit));
        Ok(())
    });
    assert_eq!(syscall::prlimit(0, Resource::NOFILE, None), Ok(before));
}
