//! The known name that a misspelt one most likely means.

/// The closest of `known` to `name`, if any is close enough to be a misspelling of it; of equals the first.
pub(crate) fn nearest<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let limit = ((name.chars().count() + 1) / 3).max(1);
    known
        .into_iter()
        .map(|candidate| (distance(name, candidate), candidate))
        .filter(|&(distance, _)| distance <= limit)
        .min_by_key(|&(distance, _)| distance)
        .map(|(_, candidate)| candidate)
}

/// The hint that goes with an unknown name: the nearest one, else all there are (when they are few).
pub(crate) fn hint<'a>(
    name: &str,
    known: impl IntoIterator<Item = &'a str> + Clone,
) -> Option<String> {
    const LISTED_MAX: usize = 12;
    if let Some(nearest) = nearest(name, known.clone()) {
        return Some(format!("did you mean `{nearest}`?"));
    }
    let all: Vec<&str> = known.into_iter().take(LISTED_MAX + 1).collect();
    match all.len() {
        0 => None,
        1..=LISTED_MAX => Some(format!("there is: {}", all.join(", "))),
        _ => Some(format!(
            "there is: {} and more",
            all[..LISTED_MAX].join(", ")
        )),
    }
}

/// Edits between two words: insert, delete, replace, swap neighbours; letter case counts for nothing.
fn distance(left: &str, right: &str) -> usize {
    let left: Vec<char> = left.chars().flat_map(char::to_lowercase).collect();
    let right: Vec<char> = right.chars().flat_map(char::to_lowercase).collect();
    let mut before_last = vec![0; right.len() + 1];
    let mut last: Vec<usize> = (0..=right.len()).collect();
    for (i, &l) in left.iter().enumerate() {
        let mut row = vec![i + 1];
        for (j, &r) in right.iter().enumerate() {
            let mut best = (last[j] + usize::from(l != r))
                .min(last[j + 1] + 1)
                .min(row[j] + 1);
            if i > 0 && j > 0 && l == right[j - 1] && left[i - 1] == r {
                best = best.min(before_last[j - 1] + 1);
            }
            row.push(best);
        }
        before_last = std::mem::replace(&mut last, row);
    }
    last[right.len()]
}

#[cfg(test)]
mod tests {
    use super::nearest;

    #[test]
    fn finds_misspellings_only() {
        let known = ["trades", "trade_legs", "fx"];
        assert_eq!(nearest("tradse", known), Some("trades"));
        assert_eq!(nearest("Trades", known), Some("trades"));
        assert_eq!(nearest("fy", known), Some("fx"));
        assert_eq!(nearest("positions", known), None);
    }
}
