//! Convolutions with 3x3 kernels and stride 1 in less than half of the
//! multiplications: Winograd's minimal filtering F(2x2, 3x3), as Lavin and Gray
//! have it ("Fast Algorithms for Convolutional Neural Networks", 2016, section 4.1).
//!
//! The output is cut into tiles of 2x2 pixels; each sees 4x4 pixels of the input. Of
//! those, and of the kernel, linear maps make 16 numbers each; their products at the
//! same place, summed over the channels, are 16 numbers of which another linear map
//! makes the tile. So a convolution is 16 products of matrices, one for each place,
//! with 16 multiplications per tile where the definition has 36. The gradient of the
//! weight is the same run backwards, by the transposed maps.
//!
//! Larger tiles would save more, and lose digits that gradients are held to.

use std::ops::Range;

use super::element::Element;
use super::matmul::Matrix;
use super::patches::{Frames, Patches, blocks};
use super::tile::{DEPTH, WIDTH, add_panel_product};
use super::transform::{Input, Kernel, KernelGradient, Output, OutputGradient};
use super::transform::{Strides, transform};
use super::workspace::{Lanes, with_workspace};

/// Places of a transformed tile.
const PLACES: usize = 16;

/// Entries of a kernel.
const ENTRIES: usize = 9;

/// Tiles that are worked on at a time. What they see need not stay in the cache:
/// more of them share what is read of the weight.
const TILES: usize = 128;

/// Channels, or outputs, whose pixels or kernels are put side by side at a time: they
/// stay in the first-level cache.
const CHANNELS: usize = 16;

/// Lanes for as many channels.
const BLOCK: usize = CHANNELS * PLACES;

/// Fewer channels, outputs or tiles than this are not worth the transforms.
const LEAST: usize = 32;

/// A convolution with a 3x3 kernel and stride 1.
pub(super) struct Winograd {
    /// What the tiles see of the input.
    tiles: Patches,
    outputs: usize,
    /// Height and width of the output.
    grid: [usize; 2],
    /// Whether the kernel's last entry comes first, as in the gradient of an input.
    turned: bool,
}

/// Neighbouring tiles in a row.
struct Run {
    /// The first one.
    tile: usize,
    /// Where its first pixel is in a plane of the output.
    pixel: usize,
    /// Rows and columns of pixels, without those beyond the output.
    rows: usize,
    columns: usize,
}

impl Winograd {
    /// The convolution with what `patches` see, if it is one that is faster so: not
    /// with few channels, nor where most pixels of a tile lie beyond the output.
    pub(super) fn of(patches: &Patches, outputs: usize) -> Option<Self> {
        let this = Self::new(patches, outputs)?;
        let images = patches.images;
        let [tiles, positions] = [&this.tiles, patches].map(|seen| seen.positions() * images);
        let multiplications = [tiles * PLACES, positions * ENTRIES];
        let pays = [patches.channels, outputs, tiles].iter().all(|count| *count >= LEAST)
            && 3 * multiplications[0] <= 2 * multiplications[1];
        pays.then_some(this)
    }

    /// The same, be it faster or not.
    fn new(patches: &Patches, outputs: usize) -> Option<Self> {
        let [top, left] = *patches.taps.iter().min()?;
        let square = |side: isize| {
            let row = move |row| (0..side).map(move |column| [top + row, left + column]);
            (0..side).flat_map(row)
        };
        let turned = patches.taps.iter().copied().rev().eq(square(3));
        if patches.step != 1 || !turned && !patches.taps.iter().copied().eq(square(3)) {
            return None;
        }
        let grid = patches.grid.map(|side| side.div_ceil(2));
        let tiles = Patches { grid, step: 2, taps: square(4).collect(), ..patches.clone() };
        Some(Self { tiles, outputs, grid: patches.grid, turned })
    }

    /// How many images are worked on at a time, and how many tiles: whole panels.
    fn group(&self) -> [usize; 2] {
        let positions = self.tiles.positions().max(1);
        let images = (TILES / positions).clamp(1, self.tiles.images.max(1));
        [images, TILES.min(images * positions).next_multiple_of(WIDTH)]
    }

    /// Adds to `out` `[outputs, N, grid]` the convolution of `x` with `weight`
    /// `[outputs, C, 3, 3]`.
    pub(super) fn add_convolution<T: Element>(&self, out: &mut [T], x: &[T], weight: &[T]) {
        let Self { outputs, tiles: ref patches, .. } = *self;
        let (inputs, positions) = (patches.channels, patches.positions());
        let [group, most] = self.group();
        let row = inputs.div_ceil(WIDTH);
        let of_place = [outputs * row, most / WIDTH * inputs, most / WIDTH * outputs].map(apart);
        let [weights, seen, sums] = of_place.map(|lanes| lanes * PLACES);
        let mut frames = patches.frames(inputs, group);
        let counts = [weights, seen, sums, BLOCK, outputs * 4];
        with_workspace(counts, |[weights, seen, sums, block, pixels]| {
            let [of_weights, of_seen, of_sums] = of_place;
            self.transform_weight(weight, block, weights, Strides { item: row, entry: of_weights });
            for images in blocks(patches.images, group) {
                let first = images.start * positions;
                frames.fill(x, 0..inputs, images.clone());
                for tiles in blocks(images.len() * positions, most) {
                    let strides = Strides { item: 1, entry: of_seen };
                    self.transform_input(&frames, &tiles, block, seen, inputs, strides);
                    sums.fill([T::zero(); WIDTH]);
                    let seen = seen.chunks_exact(of_seen);
                    let products = weights.chunks_exact(of_weights).zip(seen);
                    for (sums, (weights, seen)) in sums.chunks_exact_mut(of_sums).zip(products) {
                        for depth in blocks(inputs, DEPTH) {
                            let (values, stride) = (weights.as_flattened(), row * WIDTH);
                            let (start, count) = (depth.start, depth.len());
                            let weight = Matrix::columns_of(values, outputs, stride, start, count);
                            let panels = sums.chunks_exact_mut(outputs);
                            let panels = panels.zip(seen.chunks_exact(inputs));
                            for (sums, seen) in panels.take(tiles.len().div_ceil(WIDTH)) {
                                let (sums, seen) = (sums.as_flattened_mut(), &seen[depth.clone()]);
                                add_panel_product(sums, WIDTH, WIDTH, weight, seen);
                            }
                        }
                    }
                    for (panel, tiles) in panels(&tiles) {
                        let from = Strides { item: 1, entry: of_sums };
                        let to = Strides { item: 4, entry: 1 };
                        let sums = &sums[panel * outputs..];
                        transform::<_, Output, 4, 2>(outputs, sums, from, pixels, to);
                        self.add_pixels(out, pixels, first + tiles.start..first + tiles.end);
                    }
                }
            }
        });
    }

    /// `weight` `[outputs, C, 3, 3]` as a matrix `[outputs, C]` for each place, whose
    /// rows are whole lanes.
    fn transform_weight<T: Element>(
        &self,
        weight: &[T],
        kernels: &mut [Lanes<T>],
        to: &mut [Lanes<T>],
        strides: Strides,
    ) {
        let row = self.tiles.channels * ENTRIES;
        for outputs in blocks(self.outputs, CHANNELS) {
            let rows = weight[outputs.start * row..outputs.end * row].chunks_exact(row);
            for (block, channels) in blocks(row, WIDTH * ENTRIES).enumerate() {
                let kernels_of_rows = kernels.as_chunks_mut::<ENTRIES>().0;
                for (row, kernels) in rows.clone().zip(kernels_of_rows) {
                    let row = row[channels.clone()].as_chunks::<ENTRIES>().0;
                    for (lane, kernel) in row.iter().enumerate() {
                        for (entry, value) in kernel.iter().enumerate() {
                            let entry = if self.turned { ENTRIES - 1 - entry } else { entry };
                            kernels[entry][lane] = *value;
                        }
                    }
                }
                let to = &mut to[outputs.start * strides.item + block..];
                let from = Strides { item: ENTRIES, entry: 1 };
                transform::<_, Kernel, 3, 4>(outputs.len(), kernels, from, to, strides);
            }
        }
    }

    /// What `tiles`, counted from the first image in the `frames`, see at each place.
    /// The next panel of them lies `panel_stride` behind, the next channel is the next
    /// item.
    fn transform_input<T: Element>(
        &self,
        frames: &Frames<'_, T>,
        tiles: &Range<usize>,
        patches: &mut [Lanes<T>],
        to: &mut [Lanes<T>],
        panel_stride: usize,
        strides: Strides,
    ) {
        for (panel, tiles) in panels(tiles) {
            for channels in blocks(self.tiles.channels, CHANNELS) {
                let to = &mut to[panel * panel_stride + channels.start * strides.item..];
                let count = channels.len();
                frames.copy(channels, tiles.clone(), patches.as_flattened_mut(), WIDTH);
                let from = Strides { item: PLACES, entry: 1 };
                transform::<_, Input, 4, 4>(count, patches, from, to, strides);
            }
        }
    }

    /// Adds the `pixels` `[outputs, 2, 2]` of a panel of `tiles` to `out`.
    fn add_pixels<T: Element>(&self, out: &mut [T], pixels: &[Lanes<T>], tiles: Range<usize>) {
        let [height, width] = self.grid;
        let runs = self.runs(tiles);
        let planes = out.chunks_exact_mut(self.tiles.images * height * width);
        for (plane, pixels) in planes.zip(pixels.as_chunks::<4>().0) {
            for run in &runs {
                for (row, [even, odd]) in pixels.as_chunks().0.iter().enumerate().take(run.rows) {
                    let line = &mut plane[run.pixel + row * width..][..run.columns];
                    add_in_turns(line, &even[run.tile..], &odd[run.tile..]);
                }
            }
        }
    }

    /// The gradient of the weight `[outputs, C, 3, 3]`, from `x` and the output's
    /// `gradient`. Computed transposed, 16 outputs side by side.
    pub(super) fn weight_gradient<T: Element>(&self, x: &[T], gradient: &[T]) -> Vec<T> {
        let Self { outputs, tiles: ref patches, .. } = *self;
        let (inputs, positions) = (patches.channels, patches.positions());
        let [group, most] = self.group();
        let panels = outputs.div_ceil(WIDTH);
        let row = most / WIDTH;
        let of_place = [inputs * row, panels * most, panels * inputs].map(apart);
        let [seen, upstream, sums] = of_place.map(|lanes| lanes * PLACES);
        let [of_seen, of_upstream, of_sums] = of_place;
        let mut frames = patches.frames(inputs, group);
        let mut out = vec![T::zero(); outputs * inputs * ENTRIES];
        with_workspace([seen, upstream, sums, BLOCK], |[seen, upstream, sums, block]| {
            sums.fill([T::zero(); WIDTH]);
            for images in blocks(patches.images, group) {
                let first = images.start * positions;
                frames.fill(x, 0..inputs, images.clone());
                for tiles in blocks(images.len() * positions, most) {
                    let strides = Strides { item: row, entry: of_seen };
                    self.transform_input(&frames, &tiles, block, seen, 1, strides);
                    let strides = Strides { item: 1, entry: of_upstream };
                    let tiles = first + tiles.start..first + tiles.end;
                    self.transform_gradient(gradient, &tiles, block, upstream, most, strides);
                    let seen = seen.chunks_exact(of_seen);
                    let products = seen.zip(upstream.chunks_exact(of_upstream));
                    for (sums, (seen, upstream)) in sums.chunks_exact_mut(of_sums).zip(products) {
                        let seen = seen.as_flattened();
                        let seen = Matrix::columns_of(seen, inputs, most, 0, tiles.len());
                        let panels = sums.chunks_exact_mut(inputs);
                        for (sums, upstream) in panels.zip(upstream.chunks_exact(most)) {
                            let (sums, upstream) =
                                (sums.as_flattened_mut(), &upstream[..tiles.len()]);
                            add_panel_product(sums, WIDTH, WIDTH, seen, upstream);
                        }
                    }
                }
            }
            for (panel, out) in out.chunks_mut(WIDTH * inputs * ENTRIES).enumerate() {
                for channels in blocks(inputs, CHANNELS) {
                    let sums = &sums[panel * inputs + channels.start..];
                    let from = Strides { item: 1, entry: of_sums };
                    let to = Strides { item: ENTRIES, entry: 1 };
                    transform::<_, KernelGradient, 4, 3>(channels.len(), sums, from, block, to);
                    for (lane, out) in out.chunks_exact_mut(inputs * ENTRIES).enumerate() {
                        let out = &mut out[channels.start * ENTRIES..channels.end * ENTRIES];
                        out.iter_mut().zip(&*block).for_each(|(out, lanes)| *out = lanes[lane]);
                    }
                }
            }
        });
        out
    }

    /// The output's `gradient` at `tiles`, at each place, 16 outputs side by side. The
    /// next panel of outputs lies `panel_stride` behind, the next tile is the next
    /// item.
    fn transform_gradient<T: Element>(
        &self,
        gradient: &[T],
        tiles: &Range<usize>,
        pixels: &mut [Lanes<T>],
        to: &mut [Lanes<T>],
        panel_stride: usize,
        strides: Strides,
    ) {
        let plane = self.tiles.images * self.grid[0] * self.grid[1];
        for (block, tiles) in panels(tiles) {
            let runs = self.runs(tiles.clone());
            for (panel, planes) in gradient.chunks(WIDTH * plane).enumerate() {
                pixels.fill([T::zero(); WIDTH]);
                for (lane, plane) in planes.chunks_exact(plane).enumerate() {
                    self.gather(plane, &runs, lane, pixels);
                }
                let to = &mut to[panel * panel_stride + block * WIDTH * strides.item..];
                let from = Strides { item: 4, entry: 1 };
                transform::<_, OutputGradient, 2, 4>(tiles.len(), pixels, from, to, strides);
            }
        }
    }

    /// Copies what `runs` of tiles are in a plane to one lane of `pixels` `[tile, 2,
    /// 2]`.
    fn gather<T: Element>(&self, plane: &[T], runs: &[Run], lane: usize, pixels: &mut [Lanes<T>]) {
        for run in runs {
            for row in 0..run.rows {
                let line = &plane[run.pixel + row * self.grid[1]..][..run.columns];
                let mut pixels = pixels[run.tile * 4 + row * 2..].chunks_mut(4);
                let (pairs, last) = line.as_chunks::<2>();
                for ([even, odd], pixels) in pairs.iter().zip(&mut pixels) {
                    pixels[0][lane] = *even;
                    pixels[1][lane] = *odd;
                }
                for (even, pixels) in last.iter().zip(pixels) {
                    pixels[0][lane] = *even;
                }
            }
        }
    }

    /// `tiles`, counted from the first image, in runs that lie in one row each; their
    /// tiles are counted from the first of `tiles`.
    fn runs(&self, tiles: Range<usize>) -> Vec<Run> {
        let ([height, width], [rows, columns]) = (self.grid, self.tiles.grid);
        let mut runs = Vec::new();
        let mut tile = tiles.start;
        while tile < tiles.end {
            let (line, column) = (tile / columns, tile % columns);
            let (image, row) = (line / rows, line % rows);
            let count = (columns - column).min(tiles.end - tile);
            runs.push(Run {
                tile: tile - tiles.start,
                pixel: (image * height + 2 * row) * width + 2 * column,
                rows: (height - 2 * row).min(2),
                columns: (width - 2 * column).min(2 * count),
            });
            tile += count;
        }
        runs
    }
}

/// How far a place with `lanes` lanes is from the next one: not a power of two, so
/// that all places of a tile fit into the first-level cache together.
fn apart(lanes: usize) -> usize {
    lanes + 1
}

/// `tiles` in panels, numbered.
fn panels(tiles: &Range<usize>) -> impl Iterator<Item = (usize, Range<usize>)> + use<> {
    let Range { start, end } = *tiles;
    (start..end).step_by(WIDTH).map(move |first| first..end.min(first + WIDTH)).enumerate()
}

/// Adds values of `even` and `odd` in turns to `line`.
fn add_in_turns<T: Element>(line: &mut [T], even: &[T], odd: &[T]) {
    let (pairs, last) = line.as_chunks_mut::<2>();
    for (last, even) in last.iter_mut().zip(&even[pairs.len()..]) {
        *last += *even;
    }
    for (pair, (even, odd)) in pairs.iter_mut().zip(even.iter().zip(odd)) {
        pair[0] += *even;
        pair[1] += *odd;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::train::candle::fixtures::value;

    /// A convolution `[outputs, C, 3, 3]` with padding.
    fn convolution(
        [channels, images, height, width]: [usize; 4],
        outputs: usize,
        padding: usize,
    ) -> (Patches, Winograd) {
        let from = |at: usize| at as isize - padding as isize;
        let taps = (0..ENTRIES).map(|entry| [from(entry / 3), from(entry % 3)]).collect();
        let grid = [height, width].map(|side| side + 2 * padding - 2);
        let patches = Patches { channels, images, height, width, grid, step: 1, taps };
        let winograd = Winograd::new(&patches, outputs).unwrap();
        (patches, winograd)
    }

    /// Calls `term` with the places in output, weight and input of every product that
    /// the definition has.
    fn definition(patches: &Patches, outputs: usize, mut term: impl FnMut(usize, usize, usize)) {
        let Patches { channels, images, height, width, grid: [rows, columns], .. } = *patches;
        let positions = images * rows * columns;
        for (output, channel) in (0..outputs * channels).map(|i| (i / channels, i % channels)) {
            for (entry, [down, right]) in patches.taps.iter().enumerate() {
                for position in 0..positions {
                    let (image, place) = (position / (rows * columns), position % (rows * columns));
                    let row = (place / columns).checked_add_signed(*down);
                    let column = (place % columns).checked_add_signed(*right);
                    if let (Some(row), Some(column)) = (row, column)
                        && row < height
                        && column < width
                    {
                        let pixel = ((channel * images + image) * height + row) * width + column;
                        let weight = (output * channels + channel) * ENTRIES + entry;
                        term(output * positions + position, weight, pixel);
                    }
                }
            }
        }
    }

    fn integers(seed: u32, count: usize) -> Vec<f64> {
        (0..count).map(|i| (4.0 * value(seed, i)).round()).collect()
    }

    fn single(values: &[f64]) -> Vec<f32> {
        values.iter().map(|value| *value as f32).collect()
    }

    /// Integers, whose sums and halves are exact in `f32` too: odd sides, parts of a
    /// panel, more tiles than are worked on at a time, any number of channels.
    #[test]
    fn convolutions_and_gradients_are_exact_on_integers() {
        let mut cases = vec![
            ([1, 1, 1, 1], 1, 1),
            ([33, 40, 4, 4], 16, 1),
            ([5, 3, 32, 32], 7, 1),
            ([300, 1, 2, 3], 3, 1),
        ];
        cases.extend((0..60).map(|case| {
            let draw = |i, most| 1 + ((value(case, i) + 1.0) / 2.0 * f64::from(most)) as usize;
            let padding = draw(0, 3) - 1;
            let side = |i| draw(i, 13).max(3 - 2.min(2 * padding));
            ([draw(1, 35), draw(2, 9), side(3), side(4)], draw(5, 35), padding)
        }));
        for (shape, outputs, padding) in cases {
            let what = format!("{shape:?} {outputs} {padding}");
            let (patches, winograd) = convolution(shape, outputs, padding);
            let positions = shape[1] * patches.positions();
            let x = integers(1, shape.iter().product());
            let weight = integers(2, outputs * shape[0] * ENTRIES);
            let gradient = integers(3, outputs * positions);
            let mut expected = vec![1.0; outputs * positions];
            let mut expected_gradient = vec![0.0; weight.len()];
            definition(&patches, outputs, |out, entry, pixel| {
                expected[out] += weight[entry] * x[pixel];
                expected_gradient[entry] += gradient[out] * x[pixel];
            });
            let mut out = vec![1.0; expected.len()];
            winograd.add_convolution(&mut out, &x, &weight);
            assert_eq!(out, expected, "{what}");
            assert_eq!(winograd.weight_gradient(&x, &gradient), expected_gradient, "{what}");
            let (x, weight, gradient) = (single(&x), single(&weight), single(&gradient));
            let mut out = vec![1.0; expected.len()];
            winograd.add_convolution(&mut out, &x, &weight);
            assert_eq!(out, single(&expected), "{what} f32");
            let found = winograd.weight_gradient(&x, &gradient);
            assert_eq!(found, single(&expected_gradient), "{what} f32");
        }
    }

    /// In `f32` errors stay within 1e-6 of the norm for as many channels as ResNet-18
    /// has; those of the definition's sums are half as large.
    #[test]
    fn errors_are_those_of_single_precision() {
        let error = |found: &[f32], expected: &[f64]| {
            let pairs = found.iter().zip(expected);
            let squares = pairs.map(|(found, value)| (f64::from(*found) - value).powi(2));
            (squares.sum::<f64>() / expected.iter().map(|value| value * value).sum::<f64>()).sqrt()
        };
        for (channels, images, side) in [(64, 2, 16), (256, 8, 4)] {
            let (patches, winograd) = convolution([channels, images, side, side], 32, 1);
            let drawn = |seed, count| (0..count).map(|i| value(seed, i)).collect::<Vec<f64>>();
            let x = drawn(1, channels * images * side * side);
            let weight = drawn(2, 32 * channels * ENTRIES);
            let gradient = drawn(3, 32 * images * side * side);
            let mut expected = vec![0.0; gradient.len()];
            let mut expected_gradient = vec![0.0; weight.len()];
            definition(&patches, 32, |out, entry, pixel| {
                expected[out] += weight[entry] * x[pixel];
                expected_gradient[entry] += gradient[out] * x[pixel];
            });
            let mut out = vec![0.0; expected.len()];
            winograd.add_convolution(&mut out, &single(&x), &single(&weight));
            let of_weight = winograd.weight_gradient(&single(&x), &single(&gradient));
            let errors = [error(&out, &expected), error(&of_weight, &expected_gradient)];
            assert!(errors.iter().all(|error| *error <= 1e-6), "{channels}: {errors:?}");
        }
    }

    #[test]
    fn layers_of_resnet18_are_faster_so() {
        let pays = |shape, outputs| Winograd::of(&convolution(shape, outputs, 1).0, outputs);
        for (channels, side) in [(64, 32), (128, 16), (256, 8), (512, 4)] {
            assert!(pays([channels, 32, side, side], channels).is_some(), "{channels}");
        }
        assert!(pays([3, 32, 32, 32], 64).is_none());
        assert!(pays([512, 32, 1, 1], 512).is_none());
        assert!(pays([512, 2, 4, 4], 512).is_none());
    }

    /// What is not a number stays so, and does not spread beyond the tiles that see it.
    #[test]
    fn nan_goes_through() {
        let (_, winograd) = convolution([1, 1, 8, 8], 1, 1);
        let mut x = vec![1.0_f32; 64];
        x[9] = f32::NAN;
        let mut out = vec![0.0; 64];
        winograd.add_convolution(&mut out, &x, &[1.0; ENTRIES]);
        let seen = |at: usize| at / 8 < 3 && at % 8 < 3;
        assert!((0..64).filter(|at| seen(*at)).all(|at| out[at].is_nan()), "{out:?}");
        assert!((0..64).filter(|at| at / 8 > 3 || at % 8 > 3).all(|at| !out[at].is_nan()));
    }
}
