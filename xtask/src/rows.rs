//! The architectures that are tested: one row for each target, with all that is
//! particular to it.

use std::path::PathBuf;

use crate::root;

/// This machine's, which needs no emulator.
pub const HOST: &str = "x86_64-unknown-linux-gnu";

pub struct Row {
    pub target: &'static str,
    /// For the compiler, beside those that every target needs.
    pub flags: &'static str,
    /// Emulators of system calls that the programs run under.
    pub runners: &'static [&'static str],
    /// Kernels that conformance is booted on.
    pub kernels: &'static [Kernel],
    /// Whether `cargo xtask test` boots them as well.
    pub boots_in_test: bool,
    /// With what status the emulator ends if all cases passed: 33 if the program has a
    /// device for that, and 0 if it has the kernel turn the machine off.
    pub status: i32,
}

/// A package of Debian's with a kernel, and the machine that boots it.
pub struct Kernel {
    pub architecture: &'static str,
    pub suite: &'static str,
    /// `*` stands for the version.
    pub package: &'static str,
    /// Another suite and package, for when a mirror's index of the first is out of date.
    pub or: Option<(&'static str, &'static str)>,
    pub machine: &'static str,
    /// The suite with the emulator, if the system's own is too old.
    pub emulator_suite: Option<&'static str>,
    /// The kernel's arguments.
    pub append: &'static str,
}

impl Row {
    /// What the rows say nothing of.
    const NEW: Row =
        Row { target: "", flags: "", runners: &[], kernels: &[], boots_in_test: false, status: 0 };

    /// The architecture's name: the target's first part.
    pub fn name(&self) -> &str {
        self.target.split('-').next().unwrap_or_default().trim_end_matches("gc")
    }

    /// The programs of its runners.
    pub fn emulators(&self) -> impl Iterator<Item = &'static str> {
        self.runners.iter().filter_map(|runner| runner.split_whitespace().next())
    }

    /// Where its release builds are.
    pub fn dir(&self) -> PathBuf {
        let target = root().join("target");
        if self.target == HOST {
            target.join("release")
        } else {
            target.join("cross").join(self.target).join("release")
        }
    }
}

impl Kernel {
    const NEW: Kernel = Kernel {
        architecture: "",
        suite: "bookworm",
        package: "",
        or: None,
        machine: "",
        emulator_suite: None,
        append: "console=ttyS0",
    };

    /// What Debian calls this kernel: the package's name after the version.
    pub fn flavour(&self) -> &'static str {
        let (_, flavour) = self.package.split_once("*-").unwrap_or_default();
        flavour.trim_end_matches("-unsigned")
    }

    /// The first two numbers of its version, where the package's name has them.
    pub fn series(&self) -> &'static str {
        let name = self.package.trim_start_matches(|c: char| !c.is_ascii_digit());
        name.split_once(".*").unwrap_or_default().0
    }

    /// The program that boots it.
    pub fn emulator(&self) -> &'static str {
        self.machine.split(' ').next().unwrap_or_default()
    }
}

pub const MATRIX: &[Row] = &[
    Row { target: HOST, kernels: &[AMD64], boots_in_test: true, status: 33, ..Row::NEW },
    Row {
        target: "aarch64-unknown-linux-gnu",
        runners: &["qemu-aarch64", "qemu-aarch64 -p 16384", "qemu-aarch64 -p 65536"],
        kernels: &[
            ARM64,
            Kernel {
                architecture: "arm64",
                package: "linux-image-6.12.*-arm64-16k-unsigned",
                // Its 16 KiB pages exclude those that `max` has beside them.
                machine: "qemu-system-aarch64 -M virt -m 512 -cpu max,lpa2=off \
                          -semihosting-config enable=on,userspace=on",
                append: "console=ttyAMA0",
                ..Kernel::NEW
            },
        ],
        boots_in_test: true,
        status: 33,
        ..Row::NEW
    },
    Row {
        target: "armv7-unknown-linux-gnueabihf",
        runners: &["qemu-arm"],
        kernels: &[
            Kernel {
                architecture: "armhf",
                package: "linux-image-6.1.*-armmp-lpae",
                machine: "qemu-system-arm -M virt -m 512 -cpu cortex-a15 \
                          -semihosting-config enable=on,userspace=on",
                append: "console=ttyAMA0",
                ..Kernel::NEW
            },
            ARM64,
        ],
        status: 33,
        ..Row::NEW
    },
    Row {
        target: "i686-unknown-linux-gnu",
        runners: &["qemu-i386"],
        kernels: &[
            Kernel {
                architecture: "i386",
                package: "linux-image-6.1.*-686-unsigned",
                machine: "qemu-system-i386 -M pc -m 256 \
                          -device isa-debug-exit,iobase=0xf4,iosize=0x04",
                ..Kernel::NEW
            },
            AMD64,
        ],
        status: 33,
        ..Row::NEW
    },
    Row {
        target: "loongarch64-unknown-linux-gnu",
        flags: "-Ctarget-feature=-lsx", // which qemu-user 7.2 does not know
        runners: &["qemu-loongarch64"],
        kernels: &[Kernel {
            architecture: "loong64",
            suite: "forky",
            package: "linux-binary-*-loong64",
            machine: "qemu-system-loongarch64 -M virt -m 1024 -cpu la464",
            emulator_suite: Some("bookworm-backports"),
            append: "console=ttyS0,115200 initcall_blacklist=i8042_init",
            ..Kernel::NEW
        }],
        ..Row::NEW
    },
    Row { target: "mips-unknown-linux-gnu", runners: &["qemu-mips"], ..Row::NEW },
    Row { target: "mips64-unknown-linux-gnuabi64", runners: &["qemu-mips64"], ..Row::NEW },
    Row {
        target: "mips64el-unknown-linux-gnuabi64",
        runners: &["qemu-mips64el"],
        kernels: &[
            Kernel {
                architecture: "mips64el",
                package: "linux-image-6.1.*-5kc-malta",
                machine: "qemu-system-mips64el -M malta -m 256 -cpu 5KEc",
                ..Kernel::NEW
            },
            Kernel {
                architecture: "mips64el",
                package: "linux-image-6.1.*-loongson-3",
                machine: "qemu-system-mips64el -M loongson3-virt -m 1024",
                ..Kernel::NEW
            },
        ],
        ..Row::NEW
    },
    Row {
        target: "mipsel-unknown-linux-gnu",
        runners: &["qemu-mipsel"],
        kernels: &[Kernel {
            architecture: "mipsel",
            package: "linux-image-6.1.*-4kc-malta",
            machine: "qemu-system-mipsel -M malta -m 256 -cpu 24Kf",
            ..Kernel::NEW
        }],
        ..Row::NEW
    },
    Row { target: "powerpc-unknown-linux-gnu", runners: &["qemu-ppc"], ..Row::NEW },
    Row { target: "powerpc64-unknown-linux-musl", runners: &["qemu-ppc64"], ..Row::NEW },
    Row {
        target: "powerpc64le-unknown-linux-gnu",
        runners: &["qemu-ppc64le", "qemu-ppc64le -p 16384", "qemu-ppc64le -p 65536"],
        kernels: &[Kernel {
            architecture: "ppc64el",
            package: "linux-image-6.1.*-powerpc64le",
            machine: "qemu-system-ppc64 -m 1024 -cpu power9 -vga none -M pseries,x-vof=on,\
                      cap-cfpc=broken,cap-sbbc=broken,cap-ibs=broken,cap-ccf-assist=off",
            append: "console=hvc0",
            ..Kernel::NEW
        }],
        boots_in_test: true,
        ..Row::NEW
    },
    Row { target: "riscv32gc-unknown-linux-gnu", runners: &["qemu-riscv32"], ..Row::NEW },
    Row {
        target: "riscv64gc-unknown-linux-gnu",
        runners: &["qemu-riscv64"],
        kernels: &[Kernel {
            architecture: "riscv64",
            suite: "trixie",
            package: "linux-image-6.12.*-riscv64",
            or: Some(("forky", "linux-binary-*-riscv64")),
            machine: "qemu-system-riscv64 -M virt -m 512",
            ..Kernel::NEW
        }],
        status: 33,
        ..Row::NEW
    },
    Row {
        target: "s390x-unknown-linux-gnu",
        runners: &["qemu-s390x"],
        kernels: &[Kernel {
            architecture: "s390x",
            package: "linux-image-6.1.*-s390x",
            machine: "qemu-system-s390x -M s390-ccw-virtio -m 256",
            append: "console=ttysclp0",
            ..Kernel::NEW
        }],
        ..Row::NEW
    },
    Row { target: "thumbv7neon-unknown-linux-gnueabihf", runners: &["qemu-arm"], ..Row::NEW },
];

/// Kernels with modules for all file systems.
pub const MODULAR: &[Kernel] = &[
    Kernel {
        architecture: "amd64",
        package: "linux-image-6.1.*-amd64",
        machine: "qemu-system-x86_64 -M pc -cpu max -m 512",
        ..Kernel::NEW
    },
    Kernel {
        architecture: "amd64",
        suite: "trixie",
        package: "linux-image-6.12.*-amd64",
        machine: "qemu-system-x86_64 -M pc -cpu max -m 512",
        ..Kernel::NEW
    },
];

// Kernels that run the programs of two architectures.

const AMD64: Kernel = Kernel {
    architecture: "amd64",
    package: "linux-image-6.1.*-cloud-amd64-unsigned",
    // All that can be emulated: protection keys are among it.
    machine: "qemu-system-x86_64 -M pc -cpu max -m 256 -device isa-debug-exit,iobase=0xf4,iosize=0x04",
    ..Kernel::NEW
};

const ARM64: Kernel = Kernel {
    architecture: "arm64",
    package: "linux-image-6.1.*-cloud-arm64-unsigned",
    machine: "qemu-system-aarch64 -M virt -m 256 -cpu cortex-a57 \
              -semihosting-config enable=on,userspace=on",
    append: "console=ttyAMA0",
    ..Kernel::NEW
};
