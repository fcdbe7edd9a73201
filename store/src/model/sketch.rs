//! How many different visitors: exact to 256, then estimated.
//!
//! A sketch takes 64-bit hashes and only grows; two merge into the sketch of both, in any order, with the
//! same bytes. To [`EXACT_MAX`] it is the sorted set itself; beyond, a HyperLogLog with 2^14 registers,
//! read by Ertl's estimator ("New cardinality estimation algorithms for HyperLogLog sketches", 2017,
//! arXiv:1702.01284, algorithm 6), standard error 1.04 / √2^14 = 0.81 %.

/// Hashes that are kept as they are: 2 KiB, and no error where people compare with their own lists.
const EXACT_MAX: usize = 256;
const PRECISION: u32 = 14;
const REGISTERS: usize = 1 << PRECISION;
/// Largest rank: leading zeros of the bits behind the register's number, plus one.
const RANK_MAX: usize = 64 - PRECISION as usize + 1;
const PACKED_BYTES: usize = REGISTERS * 6 / 8;

const TAG_EXACT: u8 = 1;
/// Registers that are not zero, three bytes each, while that is shorter than all of them at six bits.
const TAG_SPARSE: u8 = 2;
const TAG_DENSE: u8 = 3;

/// A set of visitors that can tell its size.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sketch(Form);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Form {
    /// Sorted, without repeats.
    Exact(Vec<u64>),
    Registers(Box<[u8]>),
}

impl Default for Sketch {
    fn default() -> Self {
        Self(Form::Exact(Vec::new()))
    }
}

impl Sketch {
    /// Adds one hash.
    pub fn insert(&mut self, hash: u64) {
        match &mut self.0 {
            Form::Exact(hashes) => {
                if let Err(place) = hashes.binary_search(&hash) {
                    hashes.insert(place, hash);
                    if hashes.len() > EXACT_MAX {
                        self.0 = Form::Registers(registers_of(hashes));
                    }
                }
            }
            Form::Registers(registers) => raise(registers, hash),
        }
    }

    /// Adds all of `other`.
    pub fn merge(&mut self, other: &Self) {
        match (&mut self.0, &other.0) {
            (_, Form::Exact(hashes)) => hashes.iter().for_each(|hash| self.insert(*hash)),
            (Form::Exact(hashes), Form::Registers(theirs)) => {
                let mut registers = theirs.clone();
                hashes.iter().for_each(|hash| raise(&mut registers, *hash));
                self.0 = Form::Registers(registers);
            }
            (Form::Registers(ours), Form::Registers(theirs)) => {
                for (ours, theirs) in ours.iter_mut().zip(theirs) {
                    *ours = (*ours).max(*theirs);
                }
            }
        }
    }

    /// Whether nothing was added.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        matches!(&self.0, Form::Exact(hashes) if hashes.is_empty())
    }

    /// How many different hashes were added: exact to 256, then within about 0.8 %.
    #[must_use]
    pub fn estimate(&self) -> u64 {
        match &self.0 {
            Form::Exact(hashes) => hashes.len() as u64,
            Form::Registers(registers) => estimate(registers),
        }
    }

    /// The stored form: the same set gives the same bytes, whatever the way it was put together.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        match &self.0 {
            Form::Exact(hashes) => {
                let mut bytes = Vec::with_capacity(1 + hashes.len() * 8);
                bytes.push(TAG_EXACT);
                hashes.iter().for_each(|hash| bytes.extend_from_slice(&hash.to_le_bytes()));
                bytes
            }
            Form::Registers(registers) => {
                let set = registers.iter().filter(|rank| **rank != 0).count();
                if set * 3 < PACKED_BYTES { sparse(registers, set) } else { dense(registers) }
            }
        }
    }

    /// Reads the stored form; `None` where the bytes are none.
    #[must_use]
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let (tag, rest) = bytes.split_first()?;
        match *tag {
            TAG_EXACT => {
                let (hashes, left) = rest.as_chunks::<8>();
                let hashes: Vec<u64> = hashes.iter().map(|bytes| u64::from_le_bytes(*bytes)).collect();
                let sorted = hashes.is_sorted_by(|a, b| a < b);
                (left.is_empty() && sorted && hashes.len() <= EXACT_MAX).then_some(Self(Form::Exact(hashes)))
            }
            TAG_SPARSE => {
                let (pairs, left) = rest.as_chunks::<3>();
                let mut registers = vec![0; REGISTERS].into_boxed_slice();
                for &[low, high, rank] in pairs {
                    *registers.get_mut(usize::from(u16::from_le_bytes([low, high])))? = rank;
                }
                left.is_empty().then_some(Self(Form::Registers(registers)))
            }
            TAG_DENSE if rest.len() == PACKED_BYTES => {
                let mut registers = Vec::with_capacity(REGISTERS);
                for &[a, b, c] in rest.as_chunks::<3>().0 {
                    registers.extend([a >> 2, (a & 3) << 4 | b >> 4, (b & 15) << 2 | c >> 6, c & 63]);
                }
                Some(Self(Form::Registers(registers.into_boxed_slice())))
            }
            _ => None,
        }
    }
}

fn registers_of(hashes: &[u64]) -> Box<[u8]> {
    let mut registers = vec![0; REGISTERS].into_boxed_slice();
    hashes.iter().for_each(|hash| raise(&mut registers, *hash));
    registers
}

#[expect(clippy::cast_possible_truncation, reason = "14 bits and a rank of at most 51 fit")]
fn raise(registers: &mut [u8], hash: u64) {
    let register = &mut registers[(hash >> (64 - PRECISION)) as usize];
    let rank = ((hash << PRECISION).leading_zeros() as usize + 1).min(RANK_MAX) as u8;
    *register = (*register).max(rank);
}

#[expect(clippy::cast_possible_truncation, reason = "a register's number has 14 bits")]
fn sparse(registers: &[u8], set: usize) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(1 + set * 3);
    bytes.push(TAG_SPARSE);
    for (index, rank) in registers.iter().enumerate().filter(|(_, rank)| **rank != 0) {
        bytes.extend_from_slice(&(index as u16).to_le_bytes());
        bytes.push(*rank);
    }
    bytes
}

fn dense(registers: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(1 + PACKED_BYTES);
    bytes.push(TAG_DENSE);
    for &[a, b, c, d] in registers.as_chunks::<4>().0 {
        bytes.extend([a << 2 | b >> 4, b << 4 | c >> 2, c << 6 | d]);
    }
    bytes
}

#[expect(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "an estimate"
)]
fn estimate(registers: &[u8]) -> u64 {
    let mut histogram = [0_u32; RANK_MAX + 1];
    for rank in registers {
        histogram[usize::from(*rank).min(RANK_MAX)] += 1;
    }
    let m = REGISTERS as f64;
    let mut z = m * tau(1.0 - f64::from(histogram[RANK_MAX]) / m);
    for count in histogram[1..RANK_MAX].iter().rev() {
        z = 0.5 * (z + f64::from(*count));
    }
    z += m * sigma(f64::from(histogram[0]) / m);
    (m * m / (2.0 * std::f64::consts::LN_2 * z)).round() as u64
}

fn sigma(mut x: f64) -> f64 {
    let (mut y, mut z) = (1.0, x);
    loop {
        x *= x;
        let before = z;
        z += x * y;
        y += y;
        if z <= before {
            return z;
        }
    }
}

fn tau(mut x: f64) -> f64 {
    if x <= 0.0 || x >= 1.0 {
        return 0.0;
    }
    let (mut y, mut z) = (1.0, 1.0 - x);
    loop {
        x = x.sqrt();
        let before = z;
        y *= 0.5;
        z -= (1.0 - x).powi(2) * y;
        if z >= before {
            return z / 3.0;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::{prop, proptest};

    /// Splitmix64: well-spread hashes from a counter.
    fn hash(n: u64) -> u64 {
        let mut z = n.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn of(numbers: impl IntoIterator<Item = u64>) -> Sketch {
        let mut sketch = Sketch::default();
        numbers.into_iter().for_each(|n| sketch.insert(hash(n)));
        sketch
    }

    #[test]
    fn small_sets_are_exact() {
        for size in [0, 1, 2, 255, 256] {
            assert_eq!(of((0..size).chain(0..size)).estimate(), size);
        }
    }

    #[test]
    fn large_sets_are_within_two_and_a_half_percent() {
        for size in [257_u64, 1_000, 5_000, 20_000, 100_000, 1_000_000] {
            let estimate = of(0..size).estimate();
            assert!(estimate.abs_diff(size) * 1_000 <= size * 25, "{estimate} for {size}");
        }
    }

    #[test]
    fn every_form_survives_storage() {
        for size in [0, 1, 256, 257, 3_000, 5_000, 100_000] {
            let sketch = of(0..size);
            assert_eq!(Sketch::from_bytes(&sketch.to_bytes()), Some(sketch));
        }
        let forms: Vec<u8> = [9, 1_000, 100_000].map(|size| of(0..size).to_bytes()[0]).into();
        assert_eq!(forms, [TAG_EXACT, TAG_SPARSE, TAG_DENSE]);
    }

    #[test]
    fn bytes_that_are_no_sketch_are_refused() {
        for bytes in [&[][..], &[0], &[TAG_EXACT, 1], &[TAG_SPARSE, 255, 255, 1], &[TAG_DENSE, 1]] {
            assert_eq!(Sketch::from_bytes(bytes), None);
        }
    }

    proptest! {
        #[test]
        fn any_split_and_order_gives_the_same_bytes(
            numbers in prop::collection::vec(0_u64..1_500, 0..700), split in 0_usize..700,
        ) {
            let whole = of(numbers.iter().copied());
            let split = split.min(numbers.len());
            let mut parts = of(numbers[split..].iter().rev().copied());
            parts.merge(&of(numbers[..split].iter().copied()));
            proptest::prop_assert_eq!(whole.to_bytes(), parts.to_bytes());
        }
    }
}
