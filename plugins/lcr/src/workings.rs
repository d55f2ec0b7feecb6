//! The formula with this moment's numbers, line by line: from the stock to the ratio, each with its paragraph.

use crate::Of;
use crate::totals::{Held, Outcome, Totals};
use lcr_rules::{
    Class, Cut, Fraction, I256, Level, RATIO_SCALE, Regime, RuleError, Rules, UsExcess,
    VALUE_SCALE, WEIGHTED_SCALE, flow_line, sub,
};
use weir_exact::Decimal;

/// A line: what it says, how much, and where that is written.
#[derive(Clone, Debug)]
pub(crate) struct Line {
    pub(crate) text: String,
    /// At [`RATIO_SCALE`]; none for a ratio that is undefined.
    pub(crate) amount: Option<I256>,
    pub(crate) source: String,
}

/// Paragraphs of what no dated rule holds: by Basel, the US, the EU.
type Paragraphs = [&'static str; 3];

const UNWIND: Paragraphs = [
    "B238 Annex 1 para 4",
    "12 CFR 249.21(f)-(i)",
    "Annex I para 3",
];
const CAPS: Paragraphs = [
    "B238 Annex 1 para 5",
    "12 CFR 249.21(a)",
    "Annex I para 2-4",
];
const STOCK: Paragraphs = ["B238 46-54", "12 CFR 249.21(a)", "Art. 17"];
const OUTFLOW: Paragraphs = ["B238 69", "12 CFR 249.32", "Art. 22"];
const INFLOW: Paragraphs = ["B238 142", "12 CFR 249.33", "Art. 32"];
const NET: Paragraphs = ["B238 69", "12 CFR 249.30(a)", "Annex II"];
const RATIO: Paragraphs = ["B238 22", "12 CFR 249.10(b)", "Art. 4(1)"];
const REPO: Paragraphs = ["B238 114", "12 CFR 249.32(j)(1)", "Art. 28(3)"];
const REVERSE_REPO: Paragraphs = ["B238 145-146", "12 CFR 249.33(f)(1)", "Art. 32(3)(b)"];
const SWAP: Paragraphs = [
    "B238 48, 113, 146",
    "12 CFR 249.32(j)(3), 249.33(f)(2)",
    "Art. 28(4)",
];

/// The lines of one ratio.
pub(crate) fn lines(
    of: &Of<'_, '_>,
    rules: &Rules,
    date: i32,
    totals: &Totals<'_>,
    outcome: &Outcome,
) -> Result<Vec<Line>, RuleError> {
    let mut page = Page {
        regime: of.terms.regime,
        rules,
        date,
        lines: Vec::new(),
    };
    page.stock(of, totals, outcome)?;
    page.flows(totals, "OUT", "Outflow", OUTFLOW, totals.outflow)?;
    let inflow = totals.inflows.total()?;
    page.flows(totals, "IN", "Inflow", INFLOW, inflow)?;
    page.denominator(of, inflow, outcome)?;
    let ratio = outcome.ratio.map(|ratio| ratio.value);
    let source = page.paragraph(RATIO);
    page.lines.push(Line {
        text: "Ratio: stock over net outflow".to_owned(),
        amount: ratio,
        source,
    });
    Ok(page.lines)
}

struct Page<'r> {
    regime: Regime,
    rules: &'r Rules,
    date: i32,
    lines: Vec<Line>,
}

impl Page<'_> {
    fn paragraph(&self, paragraphs: Paragraphs) -> String {
        paragraphs[self.regime.column()].to_owned()
    }

    fn rule(&self, name: &str) -> Option<String> {
        let source = self.rules.source(self.regime, name, self.date);
        source.map(str::to_owned)
    }

    fn say(&mut self, text: String, amount: Fraction, source: String) -> Result<(), RuleError> {
        let amount = Some(amount.round(RATIO_SCALE)?);
        self.lines.push(Line {
            text,
            amount,
            source,
        });
        Ok(())
    }

    /// A cap, and whether it binds.
    fn cut(&mut self, what: &str, cut: Fraction, source: String) -> Result<(), RuleError> {
        let verdict = if cut.digits.is_zero() {
            "does not bind"
        } else {
            "binds, by"
        };
        self.say(format!("{what}: {verdict}"), cut, source)
    }

    fn stock(
        &mut self,
        of: &Of<'_, '_>,
        totals: &Totals<'_>,
        outcome: &Outcome,
    ) -> Result<(), RuleError> {
        for class in Class::in_stock(self.regime) {
            let Held { value, counted } = totals.held(*class);
            let source = self.rule(&format!("haircut.{}", class.name()));
            let source = source.unwrap_or_default();
            let name = class.name();
            let value = Decimal::new(value, VALUE_SCALE).at(WEIGHTED_SCALE);
            let value = Fraction::whole(value.map_err(|_too_large| RuleError::Overflow)?);
            self.say(format!("{name} at market value"), value, source.clone())?;
            let haircut = percent(of.terms.haircut(*class));
            let text = format!("{name} after a haircut of {haircut}");
            self.say(text, Fraction::whole(counted), source)?;
        }
        let adjusted = totals.unwound()?;
        for (level, name) in [
            (Level::One, "Level 1"),
            (Level::Covered, "Covered bonds of level 1"),
            (Level::TwoA, "Level 2A"),
            (Level::TwoB, "Level 2B"),
        ] {
            if level == Level::Covered && self.regime != Regime::Eu {
                continue;
            }
            let change = sub(adjusted.of(level), totals.held.of(level))?;
            let source = self.paragraph(UNWIND);
            let text = format!("{name}: what undoing secured trades of the horizon changes");
            self.say(text, Fraction::whole(change), source.clone())?;
            let text = format!("{name} with them undone");
            self.say(text, Fraction::whole(adjusted.of(level)), source)?;
        }
        match outcome.cut {
            None => {}
            Some(Cut::Basel { level_2b, level_2 }) => {
                let source = self.rule("cap.level_2b").unwrap_or_default();
                self.cut("Cap on level 2B", level_2b, source)?;
                let source = self.rule("cap.level_2").unwrap_or_default();
                self.cut("Cap on level 2", level_2, source)?;
            }
            Some(Cut::Us {
                unadjusted,
                adjusted,
            }) => {
                self.us_excess("as it is", unadjusted)?;
                self.us_excess("with secured trades undone", adjusted)?;
                let (a, b) = (unadjusted.total()?, adjusted.total()?);
                let greater = if a.digits > b.digits { a } else { b };
                let source = self.paragraph(CAPS);
                self.cut("Caps: the greater of the two", greater, source)?;
            }
            Some(Cut::Eu { excess }) => {
                let source = self.paragraph(CAPS);
                self.cut(
                    "Composition: the excess over the tightest bound",
                    excess,
                    source,
                )?;
            }
        }
        let source = self.paragraph(STOCK);
        if outcome.is_floored {
            let text =
                "Stock of liquid assets, which the formula makes negative and the policy none";
            return self.say(text.to_owned(), outcome.stock, source);
        }
        self.say("Stock of liquid assets".to_owned(), outcome.stock, source)
    }

    fn us_excess(&mut self, stock: &str, excess: UsExcess) -> Result<(), RuleError> {
        let source = self.rule("cap.level_2_of_level_1").unwrap_or_default();
        let what = format!("Cap on level 2 of the stock {stock}");
        self.cut(&what, excess.level_2, source)?;
        let source = self.rule("cap.level_2b_of_better").unwrap_or_default();
        let what = format!("Cap on level 2B of the stock {stock}");
        self.cut(&what, excess.level_2b, source)
    }

    /// What flows on a side, line by line, and its sum.
    fn flows(
        &mut self,
        totals: &Totals<'_>,
        side: &str,
        name: &str,
        whole: Paragraphs,
        sum: I256,
    ) -> Result<(), RuleError> {
        for (line, counted) in totals.lines_of(side) {
            let source = match line {
                "repo" => Some(self.paragraph(REPO)),
                "reverse_repo" => Some(self.paragraph(REVERSE_REPO)),
                "collateral_swap" => Some(self.paragraph(SWAP)),
                line if flow_line(line).is_some() => self.rule(&format!("flow.{line}")),
                line => self.rule(&format!("balance.{line}")),
            };
            let text = format!("{name}: {line}");
            self.say(text, Fraction::whole(counted), source.unwrap_or_default())?;
        }
        let source = self.paragraph(whole);
        self.say(format!("{name}s"), Fraction::whole(sum), source)
    }

    fn denominator(
        &mut self,
        of: &Of<'_, '_>,
        inflow: I256,
        outcome: &Outcome,
    ) -> Result<(), RuleError> {
        let net = &outcome.net;
        if self.regime == Regime::Eu {
            let [exempt, higher, capped] = net.used;
            let (all, some) = ("cap.inflow", "cap.inflow_higher");
            for (text, used, rule) in [
                ("Inflows exempt from the cap that count", exempt, all),
                ("Inflows under the higher cap that count", higher, some),
                ("Other inflows that count", capped, all),
            ] {
                let source = self.rule(rule).unwrap_or_default();
                self.say(text.to_owned(), used, source)?;
            }
        }
        let uncapped = Fraction::whole(inflow);
        let cut = uncapped.minus(net.inflow)?;
        let source = self.rule("cap.inflow").unwrap_or_default();
        self.cut("Cap on inflows", cut, source.clone())?;
        self.say("Inflows that count".to_owned(), net.inflow, source)?;
        if self.regime == Regime::Us {
            let source = "12 CFR 249.30(b)".to_owned();
            let addon = outcome.addon;
            for (text, amount) in [
                ("Highest net cumulative outflow of a day", addon.peak),
                ("That of the last day", addon.last),
                ("Maturity mismatch add-on: the difference", addon.amount),
            ] {
                self.say(text.to_owned(), Fraction::whole(amount), source.clone())?;
            }
        }
        let text = match self.regime {
            Regime::Us => format!(
                "Net outflow: {} of outflows less inflows that count, and the add-on",
                percent(of.policy.us_percentage)
            ),
            Regime::Basel | Regime::Eu => "Net outflow".to_owned(),
        };
        let source = self.paragraph(NET);
        self.say(text, net.net, source)
    }
}

fn percent(factor: lcr_rules::Factor) -> String {
    format!("{} %", Decimal::from_i128(factor.digits(), 2).to_text())
}
