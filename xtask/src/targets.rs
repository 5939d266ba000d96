//! The targets that are tested, with the emulators and kernels that run their programs.

use std::path::PathBuf;

use crate::root;

/// The target of this machine, whose programs need no emulator.
pub const HOST: &str = "x86_64-unknown-linux-gnu";

pub struct Target {
    pub triple: &'static str,
    /// Flags for the compiler, in addition to those that every target needs.
    pub flags: &'static str,
    /// The command lines of the user-mode emulators that run the programs.
    pub runners: &'static [&'static str],
    /// The kernels that boot the program `conformance`.
    pub kernels: &'static [Kernel],
    /// Whether `cargo xtask test` boots these kernels, too, and not only `cargo xtask kernels`. Those
    /// that are [by hand](Kernel::by_hand) are left out.
    pub boots_in_test: bool,
    /// The exit status of the emulator if all cases passed: 33 if the program ends the emulator by a
    /// device, and 0 if the kernel powers the machine off.
    pub status: i32,
}

/// A kernel in a package of Debian, and the machine that boots it.
pub struct Kernel {
    pub architecture: &'static str,
    pub suite: &'static str,
    /// The package's name, in which `*` stands for the version.
    pub package: &'static str,
    /// Another suite and package. It is used if the mirror's index of the first is out of date, because
    /// the package is then not found.
    pub or: Option<(&'static str, &'static str)>,
    pub machine: &'static str,
    /// The suite that has the emulator, if the emulator of the running system is too old.
    pub emulator_suite: Option<&'static str>,
    /// The kernel's command line.
    pub append: &'static str,
    /// Whether `cargo xtask test` leaves it out, although it boots the target's other kernels.
    pub by_hand: bool,
}

impl Target {
    /// The values that most targets have.
    const DEFAULT: Target = Target {
        triple: "",
        flags: "",
        runners: &[],
        kernels: &[],
        boots_in_test: false,
        status: 0,
    };

    /// Returns the name of the architecture: the first part of the triple.
    pub fn name(&self) -> &str {
        self.triple.split('-').next().unwrap_or_default().trim_end_matches("gc")
    }

    /// Returns the names of the emulators' programs.
    pub fn emulators(&self) -> impl Iterator<Item = &'static str> {
        self.runners.iter().filter_map(|runner| runner.split_whitespace().next())
    }

    /// Returns the directory of the release builds.
    pub fn dir(&self) -> PathBuf {
        let target = root().join("target");
        if self.triple == HOST {
            target.join("release")
        } else {
            target.join("cross").join(self.triple).join("release")
        }
    }
}

impl Kernel {
    const DEFAULT: Kernel = Kernel {
        architecture: "",
        suite: "bookworm",
        package: "",
        or: None,
        machine: "",
        emulator_suite: None,
        append: "console=ttyS0",
        by_hand: false,
    };

    /// Returns the flavour of the kernel: the part of the package's name after the version.
    pub fn flavour(&self) -> &'static str {
        let (_, flavour) = self.package.split_once("*-").unwrap_or_default();
        flavour.trim_end_matches("-unsigned")
    }

    /// Returns the first two numbers of the version, or nothing if the package's name has none.
    pub fn series(&self) -> &'static str {
        let name = self.package.trim_start_matches(|c: char| !c.is_ascii_digit());
        name.split_once(".*").unwrap_or_default().0
    }

    /// Returns the name of the emulator's program.
    pub fn emulator(&self) -> &'static str {
        self.machine.split(' ').next().unwrap_or_default()
    }
}

pub const MATRIX: &[Target] = &[
    Target {
        triple: HOST,
        kernels: &[AMD64, NEW_AMD64],
        boots_in_test: true,
        status: 33,
        ..Target::DEFAULT
    },
    Target {
        triple: "aarch64-unknown-linux-gnu",
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
                ..Kernel::DEFAULT
            },
            NEW_ARM64,
        ],
        boots_in_test: true,
        status: 33,
        ..Target::DEFAULT
    },
    Target {
        triple: "armv7-unknown-linux-gnueabihf",
        runners: &["qemu-arm"],
        kernels: &[
            Kernel {
                architecture: "armhf",
                package: "linux-image-6.1.*-armmp-lpae",
                machine: "qemu-system-arm -M virt -m 512 -cpu cortex-a15 \
                          -semihosting-config enable=on,userspace=on",
                append: "console=ttyAMA0",
                ..Kernel::DEFAULT
            },
            ARM64,
        ],
        status: 33,
        ..Target::DEFAULT
    },
    Target {
        triple: "i686-unknown-linux-gnu",
        runners: &["qemu-i386"],
        kernels: &[
            Kernel {
                architecture: "i386",
                package: "linux-image-6.1.*-686-unsigned",
                machine: "qemu-system-i386 -M pc -m 256 \
                          -device isa-debug-exit,iobase=0xf4,iosize=0x04",
                ..Kernel::DEFAULT
            },
            AMD64,
        ],
        status: 33,
        ..Target::DEFAULT
    },
    Target {
        triple: "loongarch64-unknown-linux-gnu",
        flags: "-Ctarget-feature=-lsx", // which qemu-user 7.2 does not know
        runners: &["qemu-loongarch64"],
        kernels: &[Kernel {
            architecture: "loong64",
            suite: "forky",
            package: "linux-binary-*-loong64",
            machine: "qemu-system-loongarch64 -M virt -m 1024 -cpu la464",
            emulator_suite: Some("bookworm-backports"),
            append: "console=ttyS0,115200 initcall_blacklist=i8042_init",
            ..Kernel::DEFAULT
        }],
        ..Target::DEFAULT
    },
    Target { triple: "mips-unknown-linux-gnu", runners: &["qemu-mips"], ..Target::DEFAULT },
    Target {
        triple: "mips64-unknown-linux-gnuabi64",
        runners: &["qemu-mips64"],
        ..Target::DEFAULT
    },
    Target {
        triple: "mips64el-unknown-linux-gnuabi64",
        runners: &["qemu-mips64el"],
        kernels: &[
            Kernel {
                architecture: "mips64el",
                package: "linux-image-6.1.*-5kc-malta",
                machine: "qemu-system-mips64el -M malta -m 256 -cpu 5KEc",
                ..Kernel::DEFAULT
            },
            Kernel {
                architecture: "mips64el",
                package: "linux-image-6.1.*-loongson-3",
                machine: "qemu-system-mips64el -M loongson3-virt -m 1024",
                ..Kernel::DEFAULT
            },
        ],
        ..Target::DEFAULT
    },
    Target {
        triple: "mipsel-unknown-linux-gnu",
        runners: &["qemu-mipsel"],
        kernels: &[Kernel {
            architecture: "mipsel",
            package: "linux-image-6.1.*-4kc-malta",
            machine: "qemu-system-mipsel -M malta -m 256 -cpu 24Kf",
            ..Kernel::DEFAULT
        }],
        ..Target::DEFAULT
    },
    Target { triple: "powerpc-unknown-linux-gnu", runners: &["qemu-ppc"], ..Target::DEFAULT },
    Target { triple: "powerpc64-unknown-linux-musl", runners: &["qemu-ppc64"], ..Target::DEFAULT },
    Target {
        triple: "powerpc64le-unknown-linux-gnu",
        runners: &["qemu-ppc64le", "qemu-ppc64le -p 16384", "qemu-ppc64le -p 65536"],
        kernels: &[Kernel {
            architecture: "ppc64el",
            package: "linux-image-6.1.*-powerpc64le",
            machine: "qemu-system-ppc64 -m 1024 -cpu power9 -vga none -M pseries,x-vof=on,\
                      cap-cfpc=broken,cap-sbbc=broken,cap-ibs=broken,cap-ccf-assist=off",
            append: "console=hvc0",
            ..Kernel::DEFAULT
        }],
        boots_in_test: true,
        ..Target::DEFAULT
    },
    Target { triple: "riscv32gc-unknown-linux-gnu", runners: &["qemu-riscv32"], ..Target::DEFAULT },
    Target {
        triple: "riscv64gc-unknown-linux-gnu",
        runners: &["qemu-riscv64"],
        kernels: &[Kernel {
            architecture: "riscv64",
            suite: "trixie",
            package: "linux-image-6.12.*-riscv64",
            or: Some(("forky", "linux-binary-*-riscv64")),
            machine: "qemu-system-riscv64 -M virt -m 512",
            ..Kernel::DEFAULT
        }],
        status: 33,
        ..Target::DEFAULT
    },
    Target {
        triple: "s390x-unknown-linux-gnu",
        runners: &["qemu-s390x"],
        kernels: &[Kernel {
            architecture: "s390x",
            package: "linux-image-6.1.*-s390x",
            machine: "qemu-system-s390x -M s390-ccw-virtio -m 256",
            append: "console=ttysclp0",
            ..Kernel::DEFAULT
        }],
        ..Target::DEFAULT
    },
    Target {
        triple: "thumbv7neon-unknown-linux-gnueabihf",
        runners: &["qemu-arm"],
        ..Target::DEFAULT
    },
];

/// Kernels that have all file systems as modules.
pub const MODULAR: &[Kernel] = &[
    Kernel {
        architecture: "amd64",
        package: "linux-image-6.1.*-amd64",
        machine: "qemu-system-x86_64 -M pc -cpu max -m 512",
        ..Kernel::DEFAULT
    },
    Kernel {
        architecture: "amd64",
        suite: "trixie",
        package: "linux-image-6.12.*-amd64",
        machine: "qemu-system-x86_64 -M pc -cpu max -m 512",
        ..Kernel::DEFAULT
    },
];

// These kernels run the programs of two architectures.

const AMD64: Kernel = Kernel {
    architecture: "amd64",
    package: "linux-image-6.1.*-cloud-amd64-unsigned",
    // `-cpu max` has protection keys, for which there are cases.
    machine: "qemu-system-x86_64 -M pc -cpu max -m 256 -device isa-debug-exit,iobase=0xf4,iosize=0x04",
    ..Kernel::DEFAULT
};

const NEW_AMD64: Kernel =
    Kernel { suite: "forky", package: "linux-binary-7.2.*-amd64", by_hand: true, ..AMD64 };

const NEW_ARM64: Kernel =
    Kernel { suite: "forky", package: "linux-binary-7.2.*-arm64", by_hand: true, ..ARM64 };

const ARM64: Kernel = Kernel {
    architecture: "arm64",
    package: "linux-image-6.1.*-cloud-arm64-unsigned",
    machine: "qemu-system-aarch64 -M virt -m 256 -cpu cortex-a57 \
              -semihosting-config enable=on,userspace=on",
    append: "console=ttyAMA0",
    ..Kernel::DEFAULT
};
