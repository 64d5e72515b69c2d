//! Floating-point samples: each time as the change of the change, each value as what differs from the bits before.

use super::bits::{BitReader, BitWriter, fits, signed};
use super::{ChunkError, HEADER, Point};
use crate::wire::Sample;

/// How many bits the change of a change of time takes, behind one to three ones and a zero.
const TIME_SIZES: [u32; 3] = [14, 17, 20];

/// A value that changes from sample to sample.
#[derive(Debug, Clone, Copy)]
pub(super) struct Xor {
    bits: u64,
    /// Zeros before and behind the bits that changed last.
    window: Option<(u32, u32)>,
}

impl Xor {
    pub(super) fn new(value: f64) -> Self {
        Self { bits: value.to_bits(), window: None }
    }

    pub(super) fn value(self) -> f64 {
        f64::from_bits(self.bits)
    }

    pub(super) fn write(&mut self, value: f64, out: &mut BitWriter) {
        let changed = value.to_bits() ^ self.bits;
        self.bits = value.to_bits();
        out.bit(changed != 0);
        if changed == 0 {
            return;
        }
        // Five bits are there for it.
        let (leading, trailing) = (changed.leading_zeros().min(31), changed.trailing_zeros());
        if let Some((before, behind)) = self.window
            && leading >= before
            && trailing >= behind
        {
            out.bit(false);
            out.bits(changed >> behind, 64 - before - behind);
            return;
        }
        self.window = Some((leading, trailing));
        let length = 64 - leading - trailing;
        out.bit(true);
        out.bits(u64::from(leading), 5);
        // 64 is written as 0, since there never are none.
        out.bits(u64::from(length), 6);
        out.bits(changed >> trailing, length);
    }

    pub(super) fn read(&mut self, from: &mut BitReader<'_>) -> Result<f64, ChunkError> {
        if !from.bit()? {
            return Ok(self.value());
        }
        if from.bit()? {
            let at = from.position();
            let leading = from.bits(5)? as u32;
            let length = match from.bits(6)? as u32 {
                0 => 64,
                length => length,
            };
            let trailing = 64u32.checked_sub(leading + length).ok_or(ChunkError::Window { at })?;
            self.window = Some((leading, trailing));
        }
        let (leading, trailing) = self.window.unwrap_or((0, 0));
        self.bits ^= from.bits(64 - leading - trailing)? << trailing;
        Ok(self.value())
    }
}

/// Samples in the order of time; at most [`super::MAX_SAMPLES`].
pub(super) fn encode(samples: impl IntoIterator<Item = Sample>) -> Vec<u8> {
    let mut out = BitWriter::new(&[0; HEADER]);
    let (mut count, mut time, mut delta, mut xor) = (0u16, 0i64, 0i64, Xor::new(0.0));
    for Sample { value, timestamp } in samples {
        let step = timestamp.wrapping_sub(time);
        match count {
            0 => {
                out.varint(timestamp);
                out.bits(value.to_bits(), 64);
                xor = Xor::new(value);
            }
            1 => {
                out.uvarint(step.cast_unsigned());
                xor.write(value, &mut out);
            }
            _ => {
                write_time(step.wrapping_sub(delta), &mut out);
                xor.write(value, &mut out);
            }
        }
        (time, delta) = (timestamp, step);
        count += 1;
    }
    out.bytes()[..HEADER].copy_from_slice(&count.to_be_bytes());
    out.into_bytes()
}

fn write_time(change: i64, out: &mut BitWriter) {
    if change == 0 {
        return out.bit(false);
    }
    match TIME_SIZES.iter().position(|size| fits(change, *size)) {
        Some(place) => {
            out.bits((1 << (place + 2)) - 2, place as u32 + 2);
            out.bits(change.cast_unsigned(), TIME_SIZES[place]);
        }
        None => {
            out.bits(0b1111, 4);
            out.bits(change.cast_unsigned(), 64);
        }
    }
}

/// Reads a chunk sample by sample.
#[derive(Debug)]
pub(crate) struct Reader<'a> {
    from: BitReader<'a>,
    left: u16,
    /// Time, step and value of the sample before.
    last: Option<(i64, Option<i64>, Xor)>,
}

impl<'a> Reader<'a> {
    pub(super) fn new(data: &'a [u8], samples: u16) -> Self {
        Self { from: BitReader::new(data, HEADER), left: samples, last: None }
    }

    pub(super) fn next(&mut self) -> Result<Option<Point>, ChunkError> {
        if self.left == 0 {
            return Ok(None);
        }
        self.left -= 1;
        let from = &mut self.from;
        let (timestamp, step, xor) = match self.last {
            None => (from.varint()?, None, Xor::new(from.double()?)),
            Some((time, step, mut xor)) => {
                let step = match step {
                    None => from.uvarint()?.cast_signed(),
                    Some(step) => step.wrapping_add(read_time(from)?),
                };
                xor.read(from)?;
                (time.wrapping_add(step), Some(step), xor)
            }
        };
        self.last = Some((timestamp, step, xor));
        Ok(Some(Point::Float(Sample { value: xor.value(), timestamp })))
    }
}

fn read_time(from: &mut BitReader<'_>) -> Result<i64, ChunkError> {
    match from.ones(4)? {
        0 => Ok(0),
        4 => Ok(from.bits(64)?.cast_signed()),
        ones => {
            let size = TIME_SIZES[ones - 1];
            Ok(signed(from.bits(size)?, size))
        }
    }
}
