//! Where and how to compute: the arguments that choose an engine.

use std::fmt;
use std::num::NonZero;
use std::str::FromStr;

use clap::{Args, ValueEnum};

use crate::arch::Arch;
use crate::error::{Error, Result};
use crate::train::{CandleEngine, Engine, Isa, KernelEngine, PopulationEngine, fastest};

/// How to compute.
#[derive(Debug, Args)]
pub(super) struct Hardware {
    /// What to compute on: `cpu`, or `cuda:N` for an NVIDIA GPU, counted from 0 (docs/gpu.md)
    #[arg(long, value_name = "DEVICE", default_value_t = Device::Cpu)]
    device: Device,

    /// How to compute; `auto` is the fastest engine of the device, the others serve to compare
    #[arg(long, value_enum, value_name = "ENGINE", default_value_t = EngineName::Auto)]
    engine: EngineName,

    /// Models of a population: trained in lockstep, by the engine of GPUs [default: what fits]
    #[arg(long, value_name = "N")]
    population: Option<NonZero<usize>>,
}

/// What computes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Device {
    Cpu,
    /// The NVIDIA GPU of this number.
    Cuda(usize),
}

/// Which engine computes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum EngineName {
    Auto,
    Kernel,
    Candle,
    Population,
}

impl FromStr for Device {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let ordinal = |text: &str| text.strip_prefix("cuda:")?.parse().ok();
        match text {
            "cpu" => Ok(Self::Cpu),
            _ => ordinal(text).map(Self::Cuda).ok_or("expected `cpu` or a GPU such as `cuda:0`"),
        }
    }
}

impl fmt::Display for Device {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Cpu => f.write_str("cpu"),
            Self::Cuda(ordinal) => write!(f, "cuda:{ordinal}"),
        }
    }
}

impl Hardware {
    /// The engine that was asked for, for networks of an architecture.
    ///
    /// # Errors
    /// If this zoolake, or this machine, does not have it.
    pub(super) fn engine(&self, arch: &Arch) -> Result<Box<dyn Engine>> {
        let Self { device, engine, population } = *self;
        let populations = match (engine, device) {
            (EngineName::Auto | EngineName::Population, Device::Cuda(ordinal)) => {
                PopulationEngine::cuda(ordinal)?
            }
            (EngineName::Population, Device::Cpu) => PopulationEngine::cpu(),
            (EngineName::Kernel | EngineName::Candle, Device::Cuda(_)) => {
                return Err(Error::invalid(format!("`{device}` has the engine `population` only"))
                    .with_hint("leave `--engine` out"));
            }
            (_, Device::Cpu) if population.is_some() => {
                return Err(Error::invalid("`--population` is for the engine `population`")
                    .with_hint("choose it with `--engine population`, or a GPU"));
            }
            (EngineName::Auto, Device::Cpu) => return Ok(fastest(arch)),
            (EngineName::Kernel, Device::Cpu) => {
                KernelEngine::expect(arch)?;
                return Ok(Box::new(KernelEngine::new(Isa::best())));
            }
            (EngineName::Candle, Device::Cpu) => return Ok(Box::new(CandleEngine::cpu())),
        };
        Ok(Box::new(match population {
            Some(members) => populations.with_members(members),
            None => populations,
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn devices_are_the_cpu_and_numbered_gpus() {
        for (text, device) in
            [("cpu", Device::Cpu), ("cuda:0", Device::Cuda(0)), ("cuda:12", Device::Cuda(12))]
        {
            assert_eq!(text.parse(), Ok(device));
            assert_eq!(device.to_string(), text);
        }
        for text in ["", "gpu", "cuda", "cuda:", "cuda:-1", "cuda:x", "CPU", "cpu:0"] {
            assert!(text.parse::<Device>().is_err(), "{text}");
        }
    }

    fn engine(
        device: Device,
        engine: EngineName,
        population: Option<NonZero<usize>>,
    ) -> Result<Box<dyn Engine>> {
        let arch = Arch::by_name("cnn_s")?;
        Hardware { device, engine, population }.engine(&arch)
    }

    #[test]
    fn what_does_not_fit_together_is_refused() {
        let one = Some(NonZero::<usize>::MIN);
        for (device, name, population, message) in [
            (
                Device::Cuda(1),
                EngineName::Candle,
                None,
                "`cuda:1` has the engine `population` only",
            ),
            (Device::Cpu, EngineName::Auto, one, "`--population` is for the engine `population`"),
        ] {
            let error = engine(device, name, population).err().unwrap();
            assert_eq!(error.to_string(), message);
            assert!(error.hint().is_some());
        }
    }

    #[test]
    fn a_cpu_has_every_engine() {
        for (name, expected) in [
            (EngineName::Auto, "kernel_"),
            (EngineName::Kernel, "kernel_"),
            (EngineName::Candle, "candle_"),
            (EngineName::Population, "population"),
        ] {
            let engine = engine(Device::Cpu, name, None).unwrap();
            assert!(engine.name().starts_with(expected), "{}", engine.name());
        }
    }
}
