//! Sums that keep what rounding loses, quantiles, and numbers as Go writes them.

/// A sum with Neumaier's variant of Kahan's compensation.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Kahan {
    pub(crate) sum: f64,
    pub(crate) lost: f64,
}

impl Kahan {
    pub(crate) fn of(sum: f64) -> Kahan {
        Kahan { sum, lost: 0.0 }
    }

    pub(crate) fn add(&mut self, value: f64) {
        let total = self.sum + value;
        if total.is_infinite() {
            self.lost = 0.0;
        } else if self.sum.abs() >= value.abs() {
            self.lost += (self.sum - total) + value;
        } else {
            self.lost += (value - total) + self.sum;
        }
        self.sum = total;
    }

    /// The same for many: what an addition loses is found without asking which number is larger, unless one overflows.
    pub(super) fn of_all(values: &[f64]) -> Kahan {
        let mut fast = Kahan::default();
        for value in values {
            let total = fast.sum + value;
            let part = total - fast.sum;
            fast.lost += (fast.sum - (total - part)) + (value - part);
            fast.sum = total;
        }
        if fast.sum.is_finite() {
            return fast;
        }
        let mut sum = Kahan::default();
        values.iter().for_each(|value| sum.add(*value));
        sum
    }

    pub(crate) fn total(self) -> f64 {
        if self.sum.is_infinite() { self.sum } else { self.sum + self.lost }
    }
}

/// The mean: by the sum while it is finite, then step by step, which does not overflow.
#[derive(Clone, Copy, Debug)]
pub(super) struct Mean {
    sum: Kahan,
    mean: Option<Kahan>,
    count: f64,
}

impl Mean {
    pub(super) fn of(first: f64) -> Mean {
        Mean { sum: Kahan::of(first), mean: None, count: 1.0 }
    }

    /// Of at least one.
    pub(super) fn of_all(values: &[f64]) -> f64 {
        let (sum, count) = (Kahan::of_all(values), values.len() as f64);
        if sum.sum.is_finite() {
            return sum.sum / count + sum.lost / count;
        }
        let mut mean = Mean::of(values.first().copied().unwrap_or(f64::NAN));
        values.iter().skip(1).for_each(|value| mean.add(*value));
        mean.value()
    }

    pub(super) fn add(&mut self, value: f64) {
        self.count += 1.0;
        if self.mean.is_none() {
            let mut sum = self.sum;
            sum.add(value);
            if !sum.sum.is_infinite() {
                self.sum = sum;
                return;
            }
            let before = self.count - 1.0;
            self.mean = Some(Kahan { sum: self.sum.sum / before, lost: self.sum.lost / before });
        }
        if let Some(mean) = &mut self.mean {
            let part = (self.count - 1.0) / self.count;
            let mut next = Kahan { sum: part * mean.sum, lost: part * mean.lost };
            next.add(value / self.count);
            *mean = next;
        }
    }

    pub(super) fn value(&self) -> f64 {
        match self.mean {
            Some(mean) => mean.sum + mean.lost,
            None => self.sum.sum / self.count + self.sum.lost / self.count,
        }
    }
}

/// The quantile of unordered values, NaN being the lowest; interpolated between neighbours.
pub(super) fn quantile(q: f64, values: &mut [f64]) -> f64 {
    if values.is_empty() || q.is_nan() {
        return f64::NAN;
    }
    if q < 0.0 {
        return f64::NEG_INFINITY;
    }
    if q > 1.0 {
        return f64::INFINITY;
    }
    values.sort_by(nan_first);
    let last = values.len() - 1;
    let rank = q * last as f64;
    let lower = rank.floor().max(0.0);
    let weight = rank - rank.floor();
    let at = (lower as usize).min(last);
    // No part of the next one, which may be infinite.
    if weight == 0.0 {
        return values[at];
    }
    values[at] * (1.0 - weight) + values[(at + 1).min(last)] * weight
}

/// Ascending, NaN before all numbers.
pub(super) fn nan_first(a: &f64, b: &f64) -> std::cmp::Ordering {
    a.partial_cmp(b).unwrap_or_else(|| b.is_nan().cmp(&a.is_nan()))
}

/// The shortest form, without exponent unless it is large or small: Go's `%g`.
pub(crate) fn go_number(value: f64) -> String {
    if value.is_nan() {
        return "NaN".to_owned();
    }
    if value.is_infinite() {
        return if value > 0.0 { "+Inf".to_owned() } else { "-Inf".to_owned() };
    }
    let exponential = format!("{value:e}");
    let (digits, exponent) = exponential.split_once('e').unwrap_or((&exponential, "0"));
    match exponent.parse::<i32>() {
        Ok(exponent) if value != 0.0 && !(-4..6).contains(&exponent) => {
            let sign = if exponent < 0 { '-' } else { '+' };
            format!("{digits}e{sign}{:02}", exponent.abs())
        }
        _ => format!("{value}"),
    }
}

/// Without exponent, whatever its size: Go's `%f`, as short as can be.
pub(super) fn plain_number(value: f64) -> String {
    if value.is_finite() { format!("{value}") } else { go_number(value) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sum_keeps_what_a_large_number_would_swallow() {
        let mut sum = Kahan::default();
        for value in [5.0, 1e100, 2.0, -1e100] {
            sum.add(value);
        }
        assert_eq!(sum.total(), 7.0);
    }

    #[test]
    fn many_at_once_are_what_they_are_one_after_the_other() {
        for values in [&[1e16, 1.0, -1e16, 3.5, 1e-9][..], &[f64::MAX, f64::MAX, 1.0], &[1.0, f64::NAN], &[0.1; 17]] {
            let mut sum = Kahan::default();
            values.iter().for_each(|value| sum.add(*value));
            assert_eq!(Kahan::of_all(values).total().to_bits(), sum.total().to_bits(), "{values:?}");
            let mut mean = Mean::of(values[0]);
            values[1..].iter().for_each(|value| mean.add(*value));
            assert_eq!(Mean::of_all(values).to_bits(), mean.value().to_bits(), "{values:?}");
        }
    }

    #[test]
    fn a_mean_of_numbers_whose_sum_overflows_is_finite() {
        let mut mean = Mean::of(f64::MAX);
        mean.add(f64::MAX);
        mean.add(f64::MAX);
        assert!((mean.value() / f64::MAX - 1.0).abs() < 1e-15);
    }

    #[test]
    fn numbers_are_written_as_go_writes_them() {
        for (value, text) in
            [(1.0, "1"), (0.5, "0.5"), (1e21, "1e+21"), (1e-5, "1e-05"), (f64::INFINITY, "+Inf"), (-0.0, "-0")]
        {
            assert_eq!(go_number(value), text);
        }
        assert_eq!([999_999.0, 1e6, 12_345_678.5].map(go_number), ["999999", "1e+06", "1.23456785e+07"]);
        assert_eq!([1e21, -1e-7, f64::NEG_INFINITY].map(plain_number).map(|text| text.len()), [22, 10, 4]);
    }

    #[test]
    fn a_quantile_lies_between_neighbours() {
        assert_eq!(quantile(0.25, &mut [3.0, 1.0, 2.0]), 1.5);
        assert_eq!(quantile(0.5, &mut [f64::NEG_INFINITY, 2.0, f64::INFINITY]), 2.0);
        assert!(quantile(0.5, &mut []).is_nan());
    }
}
