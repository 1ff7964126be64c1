//! Numbers too small for the exponent.
//!
//! Weight decay drives the weights of dead units towards zero and through the
//! denormal numbers, on which a processor is up to twenty times slower. While a
//! [`FlushToZero`] lives, its thread (and those it starts) takes them for zero.

/// Takes denormal numbers for zero on this thread until it is dropped.
pub(crate) struct FlushToZero {
    /// Those of [`FLUSH`] that were set.
    before: Control,
    /// The register belongs to a thread.
    _not_send: std::marker::PhantomData<*const ()>,
}

#[cfg(target_arch = "aarch64")]
type Control = u64;
#[cfg(not(target_arch = "aarch64"))]
type Control = u32;

/// The bits that take denormal numbers for zero: results (FTZ) and operands (DAZ).
#[cfg(target_arch = "x86_64")]
const FLUSH: Control = 1 << 15 | 1 << 6;
/// The bit for both (FZ).
#[cfg(target_arch = "aarch64")]
const FLUSH: Control = 1 << 24;
/// Other processors are left as they are.
#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
const FLUSH: Control = 0;

impl FlushToZero {
    /// Switches it on.
    pub(crate) fn on() -> Self {
        let control = control();
        set_control(control | FLUSH);
        Self { before: control & FLUSH, _not_send: std::marker::PhantomData }
    }
}

impl Drop for FlushToZero {
    fn drop(&mut self) {
        // The register also collects what arithmetic has met since.
        set_control(control() & !FLUSH | self.before);
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
    #[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
    0
}

/// Sets it.
///
/// **This departs from Rust's rules**, which have every `asm!` leave the floating-point
/// environment as it was, so that the compiler may evaluate arithmetic itself, and move
/// it, as if it were the default one. There is no permitted way to switch denormals off
/// for a region of code. What can come of it: a denormal result that the compiler
/// evaluated, or moved across the borders of the guard, is not zero, or one outside is.
/// Either is as good here: such a number is nothing beside any that training depends on,
/// and no branch, index or size is computed from the difference.
fn set_control(control: Control) {
    #[cfg(target_arch = "x86_64")]
    // SAFETY: reads 4 bytes from where it is told. Of the bits that control arithmetic
    // only those of `FLUSH` change; what that means is said above.
    unsafe {
        std::arch::asm!("ldmxcsr [{}]", in(reg) &control, options(nostack, readonly));
    }
    #[cfg(target_arch = "aarch64")]
    // SAFETY: as above. The flags that arithmetic collects are in another register.
    unsafe {
        std::arch::asm!("msr fpcr, {}", in(reg) control, options(nomem, nostack, preserves_flags));
    }
    #[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
    let _ = control;
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

    #[test]
    #[cfg(target_arch = "x86_64")]
    fn what_arithmetic_has_met_stays_on_record() {
        const INEXACT: Control = 1 << 5;
        set_control(control() & !INEXACT);
        let guard = FlushToZero::on();
        black_box(black_box(1.0_f32) / black_box(3.0));
        drop(guard);
        assert_eq!(control() & (INEXACT | FLUSH), INEXACT);
    }
}
