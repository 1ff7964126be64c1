//! Whatever the bytes of a page are: the vector scan takes it if and only if the naive
//! reader finds whole vectors in it, and copies the same bits to the same places.

#![no_main]

mod input;
#[path = "../../src/scan/vectors/page.rs"]
mod page;
mod reader;

use libfuzzer_sys::fuzz_target;

use input::Input;
use page::{PageShape, Values, VectorPage};

/// Bits that no value has, but where nothing was copied to.
const UNTOUCHED: f32 = f32::from_bits(0xffff_fff1);

fuzz_target!(|bytes: &[u8]| {
    let Some(input) = Input::of(bytes) else { return };
    let (page, width) = input.page();
    let expected = reader::vectors(&page, width, input.defined);
    let found = VectorPage::of(&page, &mut PageShape::new(width, input.defined), Values::stored);
    assert_eq!(found.is_some(), expected.is_some(), "{input:?}");
    let (Some(found), Some(expected)) = (found, expected) else { return };
    assert_eq!(found.rows() * width, expected.len(), "{input:?}");

    let [from, to, apart] = input.copied.map(usize::from);
    let to = to.min(found.rows());
    let from = from.min(to);
    let stride = width + apart % 5;
    let mut room = vec![UNTOUCHED; (to - from) * stride];
    found.copy(from..to, &mut room, stride);
    for (row, vector) in (from..to).zip(room.chunks(stride)) {
        let bits = vector.iter().map(|value| value.to_bits());
        let values = expected[row * width..(row + 1) * width].iter().copied();
        let gap = std::iter::repeat_n(UNTOUCHED.to_bits(), stride - width);
        assert!(bits.eq(values.chain(gap)), "row {row} of {input:?}");
    }
});
