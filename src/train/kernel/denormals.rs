//! Numbers too small for the exponent.
//!
//! Weight decay drives the weights of dead units towards zero and through the
//! denormal numbers, on which a processor is up to twenty times slower. While a
//! [`FlushToZero`] lives, its thread (and those it starts) takes them for zero.

/// Takes denormal numbers for zero on this thread until it is dropped.
pub(crate) struct FlushToZero {
    before: Control,
    /// The register belongs to a thread.
    _not_send: std::marker::PhantomData<*const ()>,
}

#[cfg(target_arch = "x86_64")]
type Control = u32;
#[cfg(target_arch = "aarch64")]
type Control = u64;
#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
type Control = ();

impl FlushToZero {
    /// Switches it on.
    pub(crate) fn on() -> Self {
        let before = control();
        #[cfg(target_arch = "x86_64")]
        set_control(before | 1 << 15 | 1 << 6); // FTZ for results, DAZ for operands
        #[cfg(target_arch = "aarch64")]
        set_control(before | 1 << 24); // FZ for both
        Self { before, _not_send: std::marker::PhantomData }
    }
}

impl Drop for FlushToZero {
    fn drop(&mut self) {
        set_control(self.before);
    }
}

/// The register that controls arithmetic.
fn control() -> Control {
    #[cfg(target_arch = "x86_64")]
    {
        let mut control = 0_u32;
        // SAFETY: writes 4 bytes to where it is told. SSE is part of x86-64.
        unsafe {
            std::arch::asm!("stmxcsr [{}]", in(reg) &mut control, options(nostack, preserves_flags));
        }
        control
    }
    #[cfg(target_arch = "aarch64")]
    {
        let control: u64;
        // SAFETY: only reads the register.
        unsafe {
            std::arch::asm!("mrs {}, fpcr", out(reg) control, options(nomem, nostack, preserves_flags));
        }
        control
    }
}

/// Sets it. The compiler takes the default for granted when it evaluates
/// arithmetic itself: a denormal result of its own is as good as zero here, and
/// nothing that depends on the difference is computed under the guard.
fn set_control(control: Control) {
    #[cfg(target_arch = "x86_64")]
    // SAFETY: reads 4 bytes from where it is told; only flags that change how
    // denormals are treated differ from what the thread had.
    unsafe {
        std::arch::asm!("ldmxcsr [{}]", in(reg) &control, options(nostack, preserves_flags, readonly));
    }
    #[cfg(target_arch = "aarch64")]
    // SAFETY: as above.
    unsafe {
        std::arch::asm!("msr fpcr, {}", in(reg) control, options(nomem, nostack, preserves_flags));
    }
    #[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
    let () = control;
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::hint::black_box;

    fn tiny() -> f32 {
        black_box(f32::MIN_POSITIVE) * black_box(0.5)
    }

    #[test]
    #[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
    fn denormals_are_zero_while_it_lives() {
        assert!(tiny() > 0.0);
        {
            let _outer = FlushToZero::on();
            assert_eq!(tiny(), 0.0);
            drop(FlushToZero::on());
            assert_eq!(tiny(), 0.0, "an inner one leaves the outer one on");
        }
        assert!(tiny() > 0.0);
    }
}
