//! Which instructions the processor has, found out when the program runs.

#[cfg(target_arch = "x86_64")]
use super::lanes::{Avx2, Avx512};
use super::lanes::{Lanes, Portable};

/// A set of vector instructions that this processor has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Isa(Set);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Set {
    Portable,
    #[cfg(target_arch = "x86_64")]
    Avx2,
    #[cfg(target_arch = "x86_64")]
    Avx512,
}

impl Isa {
    /// What every processor of the target has.
    pub const PORTABLE: Self = Self(Set::Portable);

    /// Those this processor has, slowest first: plain arithmetic; AVX2 with FMA;
    /// AVX-512 (F, BW, DQ, VL).
    pub fn available() -> Vec<Self> {
        let mut available = vec![Self::PORTABLE];
        #[cfg(target_arch = "x86_64")]
        if is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma") {
            available.push(Self(Set::Avx2));
            if is_x86_feature_detected!("avx512f")
                && is_x86_feature_detected!("avx512bw")
                && is_x86_feature_detected!("avx512dq")
                && is_x86_feature_detected!("avx512vl")
            {
                available.push(Self(Set::Avx512));
            }
        }
        available
    }

    /// The fastest this processor has.
    pub fn best() -> Self {
        Self::available().pop().unwrap_or(Self::PORTABLE)
    }

    /// The name: `portable`, `avx2` or `avx512`.
    pub fn name(self) -> &'static str {
        self.engine_name().trim_start_matches("kernel_")
    }

    /// The name of the engine that uses it: sums of another width round otherwise.
    pub(super) fn engine_name(self) -> &'static str {
        match self.0 {
            Set::Portable => "kernel_portable",
            #[cfg(target_arch = "x86_64")]
            Set::Avx2 => "kernel_avx2",
            #[cfg(target_arch = "x86_64")]
            Set::Avx512 => "kernel_avx512",
        }
    }

    /// Runs `kernel` with these instructions.
    ///
    /// # Safety
    /// The kernel's slices have the sizes its type documents.
    pub(super) unsafe fn run<K: Kernel>(self, kernel: K) -> K::Output {
        // The processor has the instructions: only `available` makes such values,
        // and it asked.
        match self.0 {
            Set::Portable => kernel.run::<Portable>(),
            #[cfg(target_arch = "x86_64")]
            Set::Avx2 => avx2(kernel),
            #[cfg(target_arch = "x86_64")]
            Set::Avx512 => avx512(kernel),
        }
    }
}

/// Work that is compiled once for each instruction set.
pub(super) trait Kernel {
    /// What it yields.
    type Output;

    /// Does the work. Implementations are `#[inline(always)]`, and so is what
    /// they call, without closures around vector instructions: only then is all
    /// of it compiled for the instruction set.
    ///
    /// # Safety
    /// The processor has the instructions of `L`, and the kernel's slices have the
    /// sizes its type documents.
    unsafe fn run<L: Lanes>(self) -> Self::Output;
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,fma")]
unsafe fn avx2<K: Kernel>(kernel: K) -> K::Output {
    kernel.run::<Avx2>()
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx2,fma")]
unsafe fn avx512<K: Kernel>(kernel: K) -> K::Output {
    kernel.run::<Avx512>()
}
