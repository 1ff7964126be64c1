//! Writes pages as writers make them, and a few that are nearly so, for the fuzzer to
//! begin with: `seeds FOLDER`.

mod input;

use std::{env, fs, io, path::Path};

use input::Input;

fn main() -> io::Result<()> {
    let folder = env::args().nth(1).ok_or(io::ErrorKind::InvalidInput)?;
    fs::create_dir_all(&folder)?;
    for (index, seed) in seeds().enumerate() {
        let bytes = seed.to_bytes();
        assert_eq!(Input::of(&bytes).as_ref(), Some(&seed), "every seed comes back");
        fs::write(Path::new(&folder).join(format!("seed-{index:03}")), bytes)?;
    }
    Ok(())
}

/// Every way to write levels, for vectors and pages of several sizes.
fn seeds() -> impl Iterator<Item = Input> {
    let sizes = [(1_u16, 9_u32), (1, 0), (2, 5), (7, 3), (8, 4), (9, 13), (25, 2), (200, 3)];
    sizes.into_iter().flat_map(|(width, rows)| {
        let count = usize::from(width) * rows as usize;
        (1..=3_u8).flat_map(move |defined| {
            let runs = [(usize::MAX, 1), (1, 1), (8, 8), (11, usize::MAX)];
            runs.into_iter().enumerate().map(move |(way, (length, least))| {
                let repetition: Vec<u8> =
                    (0..count).map(|place| u8::from(place % usize::from(width) != 0)).collect();
                let repetition = encode(1, &repetition, length, least);
                let bits = if defined == 1 { 1 } else { 2 };
                let definition = encode(bits, &vec![defined; count], length, least);
                Input::new(way % 2 == 0, defined, width, rows, [&repetition, &definition])
            })
        })
    })
}

/// Levels as runs of `length` at most where `least` of them are the same, and as packed
/// groups of eight elsewhere.
fn encode(bits: u32, levels: &[u8], length: usize, least: usize) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut rest = levels;
    while let [level, ..] = rest {
        let same = rest.iter().take(length).take_while(|other| *other == level).count();
        if same >= least {
            varint(&mut bytes, 2 * same);
            bytes.push(*level);
            rest = &rest[same..];
        } else {
            let groups = length.div_ceil(8).min(rest.len().div_ceil(8));
            varint(&mut bytes, 2 * groups + 1);
            for group in 0..groups {
                let place = |k: u32| rest.get(8 * group + k as usize).copied().unwrap_or(0);
                let packed = (0..8).fold(0, |all, k| all | u32::from(place(k)) << (k * bits));
                bytes.extend(&packed.to_le_bytes()[..bits as usize]);
            }
            rest = rest.get(8 * groups..).unwrap_or_default();
        }
    }
    bytes
}

fn varint(bytes: &mut Vec<u8>, mut number: usize) {
    while number >= 128 {
        bytes.push((number % 128) as u8 | 128);
        number /= 128;
    }
    bytes.push(number as u8);
}
