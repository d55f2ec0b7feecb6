//! Whose inflows the EU caps less: a policy, by counterparty.

use weir_sdk::{Failure, Json};

/// Counterparties whose inflows are exempt from the EU cap, or capped at 90 % (Art. 33); all others at 75 %.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EuInflows {
    exempt: Vec<String>,
    ninety: Vec<String>,
}

impl EuInflows {
    /// Reads `eu_exempt` and `eu_90_percent`, lists of counterparty ids; none when they are missing.
    pub fn open(config: &Json) -> Result<Self, Failure> {
        let list = |key: &str| -> Vec<String> {
            let items = config.get(key).map(Json::items).unwrap_or_default();
            items
                .iter()
                .filter_map(Json::as_str)
                .map(str::to_owned)
                .collect()
        };
        let read = Self {
            exempt: list("eu_exempt"),
            ninety: list("eu_90_percent"),
        };
        match read.exempt.iter().find(|id| read.ninety.contains(id)) {
            None => Ok(read),
            Some(twice) => Err(Failure::new(
                "config_invalid",
                format!("`eu_exempt` and `eu_90_percent` both name `{twice}`: keep one"),
            )),
        }
    }

    /// Of the outflows, up to how many percent a counterparty's inflows count: 100, 90 or 75.
    pub fn cap(&self, counterparty: Option<&str>) -> i32 {
        let is_in =
            |list: &[String]| counterparty.is_some_and(|id| list.iter().any(|known| known == id));
        if is_in(&self.exempt) {
            100
        } else if is_in(&self.ninety) {
            90
        } else {
            75
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The default is the contract's; a counterparty stands in one list.
    #[test]
    fn caps_by_counterparty() {
        let open = |text: &str| EuInflows::open(&Json::parse(text).expect("JSON"));
        assert_eq!(open("{}"), Ok(EuInflows::default()));
        let policy = open(r#"{"eu_exempt":["A"],"eu_90_percent":["B"]}"#).expect("two lists");
        let caps = [Some("A"), Some("B"), Some("C"), None].map(|id| policy.cap(id));
        assert_eq!(caps, [100, 90, 75, 75]);
        let error = open(r#"{"eu_exempt":["A"],"eu_90_percent":["A"]}"#).expect_err("twice");
        assert!(error.message.contains("`A`"));
    }
}
