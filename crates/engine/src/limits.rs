//! How many records are refused: counts of those that came and of those that are refused, by the records' own timestamps
//! in a window behind the clock. So they are a function of offsets and clock, as all is that is published.

use std::collections::BTreeMap;
use weir_spec::plan::LimitPlan;

/// A window is as many steps.
const STEPS: i64 = 60;
/// A share of fewer records says little.
const RECORDS_MIN: u64 = 100;

/// The counts of one source, or of all.
#[derive(Debug)]
pub(crate) struct Window {
    limit: LimitPlan,
    /// Records that came and those of them that are refused, by steps of time.
    steps: BTreeMap<i64, [u64; 2]>,
}

impl Window {
    pub(crate) fn new(limit: LimitPlan) -> Self {
        Self {
            limit,
            steps: BTreeMap::new(),
        }
    }

    /// Whether there is no limit.
    pub(crate) fn is_idle(&self) -> bool {
        self.limit.percent_max.is_none_or(|most| most >= 100) && self.limit.count_max.is_none()
    }

    /// Records came. One from the future counts as one of now.
    pub(crate) fn came(&mut self, timestamps_us: impl Iterator<Item = i64>, now_us: i64) {
        let (mut step, mut count) = (i64::MIN, 0);
        for timestamp_us in timestamps_us {
            let of_it = self.step(timestamp_us.min(now_us));
            if of_it != step {
                self.add(step, count);
                (step, count) = (of_it, 0);
            }
            count += 1;
        }
        self.add(step, count);
    }

    fn add(&mut self, step: i64, count: u64) {
        if count > 0 {
            self.steps.entry(step).or_default()[0] += count;
        }
    }

    /// A record is refused, or not any more.
    pub(crate) fn refused(&mut self, timestamp_us: i64, change: i64, now_us: i64) {
        let step = self.step(timestamp_us.min(now_us));
        if let Some(counts) = self.steps.get_mut(&step) {
            counts[1] = counts[1].saturating_add_signed(change);
        }
    }

    /// Records and refused ones in the window before now.
    pub(crate) fn counts(&self, now_us: i64) -> [u64; 2] {
        let sum = |sum: [u64; 2], (_, counts): (&i64, &[u64; 2])| {
            [sum[0] + counts[0], sum[1] + counts[1]]
        };
        self.steps.range(self.oldest(now_us)..).fold([0, 0], sum)
    }

    fn oldest(&self, now_us: i64) -> i64 {
        self.step(now_us) - STEPS + 1
    }

    /// What limit is passed, in words. What is older than the window is forgotten.
    pub(crate) fn passed(&mut self, now_us: i64) -> Option<String> {
        self.steps = self.steps.split_off(&self.oldest(now_us));
        let [came, refused] = self.counts(now_us);
        let told = |limit: String| {
            let window_s = self.limit.window_s;
            format!(
                "{refused} of {came} records of the last {window_s} s were refused, more than `{limit}`"
            )
        };
        if let Some(most) = self.limit.count_max.filter(|most| refused > *most) {
            return Some(told(format!("count_max: {most}")));
        }
        let is_passed = |most: &u32| came >= RECORDS_MIN && refused * 100 > came * u64::from(*most);
        let most = self.limit.percent_max.filter(is_passed)?;
        Some(told(format!("percent_max: {most}")))
    }

    fn step(&self, us: i64) -> i64 {
        us.div_euclid(i64::from(self.limit.window_s) * 1_000_000 / STEPS)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn window(percent_max: Option<u32>, count_max: Option<u64>) -> Window {
        Window::new(LimitPlan {
            percent_max,
            count_max,
            window_s: 60,
        })
    }

    /// Both limits, and what was long ago counts no more.
    #[test]
    fn limits_are_passed_within_the_window() {
        let second = |s: i64| s * 1_000_000;
        let mut share = window(Some(50), None);
        let mut count = window(None, Some(2));
        for at in 0..99 {
            share.came([second(at / 2)].into_iter(), second(at / 2));
            share.refused(second(at / 2), 1, second(at / 2));
        }
        assert_eq!(share.passed(second(49)), None, "too few to tell");
        share.came([second(49)].into_iter(), second(49));
        let told = "99 of 100 records of the last 60 s were refused, more than `percent_max: 50`";
        assert_eq!(share.passed(second(49)).as_deref(), Some(told));
        assert_eq!(share.counts(second(69)), [80, 79]);
        assert_eq!(share.passed(second(200)), None);
        for at in [0, 1, 2] {
            count.came([second(at)].into_iter(), second(at));
            count.refused(second(at), 1, second(at));
        }
        assert!(count.passed(second(2)).is_some());
        count.refused(second(1), -1, second(2));
        assert_eq!(count.passed(second(2)), None);
        assert!(window(Some(100), None).is_idle() && !count.is_idle());
    }

    /// Goal: the counts depend on the records and the clock alone. Method: the same records one by one, each with its own
    /// clock, and all at once at the end.
    #[test]
    fn counts_do_not_depend_on_batches() {
        let times: Vec<i64> = (0..300).map(|n| (n * 7_919) % 90_000_000).collect();
        let (mut one, mut all) = (window(Some(1), None), window(Some(1), None));
        let mut now = i64::MIN;
        for &time in &times {
            now = now.max(time);
            one.came([time].into_iter(), now);
            one.refused(time, 1, now);
            one.passed(now);
        }
        all.came(times.iter().copied(), now);
        for &time in &times {
            all.refused(time, 1, now);
        }
        assert_eq!(one.counts(now), all.counts(now));
    }
}
