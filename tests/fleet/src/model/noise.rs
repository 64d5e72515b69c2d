//! Randomness without state: a number is a hash of the seed and of what is asked, so any moment can be asked for
//! in any order, and the same question always has the same answer.

/// What a number is drawn for. Two purposes never share numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u64)]
pub(crate) enum What {
    Config = 1,
    Uuid,
    CpuSlow,
    CpuFast,
    MemorySlow,
    DiskSlow,
    DiskFast,
    NetSlow,
    NetFast,
    Burst,
    Migration,
    Placement,
    Failover,
    Return,
    Storm,
    Churn,
    Backup,
    Snapshot,
    Growth,
    Vcpu,
    Choice,
    Host,
}

/// The source of all numbers of a model.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Noise(u64);

impl Noise {
    pub(crate) fn new(seed: u64) -> Noise {
        Noise(mix(seed ^ 0x6c79_6e63_6575_7321))
    }

    /// 64 bits.
    pub(crate) fn bits(self, what: What, who: u64, when: i64) -> u64 {
        let key = mix(self.0 ^ mix(who.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ what as u64));
        mix(key ^ when.cast_unsigned())
    }

    /// Evenly from [0, 1).
    pub(crate) fn unit(self, what: What, who: u64, when: i64) -> f64 {
        // 53 bits are what an f64 holds exactly.
        (self.bits(what, who, when) >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// Evenly from `low` up to, not including, `high`.
    pub(crate) fn between(self, what: What, who: u64, when: i64, low: f64, high: f64) -> f64 {
        low + (high - low) * self.unit(what, who, when)
    }

    /// Evenly from 0 up to, not including, `end`.
    pub(crate) fn below(self, what: What, who: u64, when: i64, end: u64) -> u64 {
        if end == 0 { 0 } else { self.bits(what, who, when) % end }
    }

    /// A smooth random walk in [-1, 1] that turns about once every `period` milliseconds.
    pub(crate) fn wave(self, what: What, who: u64, at: i64, period: i64) -> f64 {
        let (slot, within) = (at.div_euclid(period), at.rem_euclid(period));
        let part = within as f64 / period as f64;
        let (from, to) = (self.unit(what, who, slot), self.unit(what, who, slot + 1));
        let smooth = part * part * (3.0 - 2.0 * part);
        2.0 * (from + (to - from) * smooth) - 1.0
    }
}

/// The finaliser of splitmix64: every input bit reaches every output bit.
fn mix(value: u64) -> u64 {
    let value = value.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let value = (value ^ (value >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let value = (value ^ (value >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    value ^ (value >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_mean_of_many_numbers_is_the_middle() {
        let noise = Noise::new(7);
        let mean = (0..10_000).map(|i| noise.unit(What::CpuFast, 3, i)).sum::<f64>() / 10_000.0;
        assert!((0.49..0.51).contains(&mean), "{mean}");
    }

    #[test]
    fn neighbours_and_purposes_do_not_resemble_each_other() {
        let noise = Noise::new(7);
        let a: Vec<f64> = (0..2_000).map(|i| noise.unit(What::CpuFast, 3, i) - 0.5).collect();
        for other in [(What::CpuFast, 4), (What::DiskFast, 3)] {
            let product: f64 = a.iter().zip(0..).map(|(x, i)| x * (noise.unit(other.0, other.1, i) - 0.5)).sum();
            assert!((product / 2_000.0).abs() < 0.01, "{other:?}: {product}");
        }
    }

    #[test]
    fn a_wave_does_not_jump() {
        let noise = Noise::new(1);
        let steps = (0..1_000).map(|i| noise.wave(What::CpuSlow, 9, i * 1_000, 60_000));
        let values: Vec<f64> = steps.collect();
        assert!(values.windows(2).all(|pair| (pair[1] - pair[0]).abs() < 0.06));
    }
}
