// Decimal text, handled as text: never through a binary number, but for the height of a pixel.

const DECIMAL = /^(-?)(\d+)(?:\.(\d+))?$/;

/** Sign, whole digits and decimals of plain decimal text, or null. */
export function parse(value) {
  const match = value === null || value === undefined ? null : DECIMAL.exec(value);
  if (!match) return null;
  const whole = match[2].replace(/^0+(?=\d)/, "");
  const decimals = (match[3] ?? "").replace(/0+$/, "");
  const negative = match[1] === "-" && (whole !== "0" || decimals !== "");
  return { negative, whole, decimals };
}

/** Orders two decimal texts: below, at or above zero. Text that is no number comes after every number. */
export function compare(a, b) {
  if (a === b) return 0;
  const x = parse(a);
  const y = parse(b);
  if (!x || !y) return x ? -1 : y ? 1 : a < b ? -1 : 1;
  if (x.negative !== y.negative) return x.negative ? -1 : 1;
  const size = x.whole.length - y.whole.length || order(x.whole, y.whole) || order(x.decimals, y.decimals);
  return x.negative ? -size : size;
}

function order(a, b) {
  return a < b ? -1 : a > b ? 1 : 0;
}

/** Decimal text with its thousands set apart; any other text as it is. */
export function grouped(value) {
  const number = parse(value);
  if (!number) return value ?? "";
  const point = value.indexOf(".");
  const decimals = point < 0 ? "" : value.slice(point);
  return (number.negative ? "−" : "") + number.whole.replace(/\B(?=(\d{3})+$)/g, ",") + decimals;
}

/** How many decimals the text shows. */
export function places(value) {
  const point = value.indexOf(".");
  return point < 0 || !DECIMAL.test(value) ? 0 : value.length - point - 1;
}

/** The exact value times 10^digits as a whole number, rounded down: what is under a mark never reads as the mark. */
export function scaledDown(value, digits) {
  const number = parse(value);
  if (!number) return null;
  const kept = number.decimals.slice(0, digits).padEnd(digits, "0");
  const whole = BigInt(number.whole + kept);
  const rest = /[1-9]/.test(number.decimals.slice(digits));
  if (!number.negative) return whole;
  return rest ? -whole - 1n : -whole;
}

/** A whole number of 10^-digits as text with thousands. */
function unscaled(scaled, digits) {
  const negative = scaled < 0n;
  const all = (negative ? -scaled : scaled).toString().padStart(digits + 1, "0");
  const cut = all.length - digits;
  return grouped((negative ? "-" : "") + all.slice(0, cut) + (digits ? "." + all.slice(cut) : ""));
}

/** Decimal text times 10^digits, exact. */
export function shifted(value, digits) {
  const { negative, whole, decimals } = parse(value);
  const more = "0".repeat(Math.abs(digits) + 1);
  const all = more + whole + decimals + more;
  const point = more.length + whole.length + digits;
  return `${negative ? "-" : ""}${all.slice(0, point)}.${all.slice(point)}`;
}

/** A ratio as percent with two decimals, rounded down from the exact text. */
export function percent(value) {
  const scaled = scaledDown(value, 4);
  return scaled === null ? null : unscaled(scaled, 2);
}

/** The exact difference of two decimal texts. */
export function minus(a, b) {
  const digits = Math.max(places(a), places(b));
  const [x, y] = [scaledDown(a, digits), scaledDown(b, digits)];
  if (x === null || y === null) return null;
  const difference = x - y;
  const sign = difference < 0n ? "-" : "";
  const all = (difference < 0n ? -difference : difference).toString().padStart(digits + 1, "0");
  const cut = all.length - digits;
  return sign + all.slice(0, cut) + (digits ? "." + all.slice(cut) : "");
}

/** A difference of ratios in percentage points: signed, rounded towards zero, never a bare zero for something. */
export function points(difference) {
  const number = parse(difference);
  if (!number || (number.whole === "0" && number.decimals === "")) return null;
  const sign = number.negative ? "−" : "+";
  const size = scaledDown(difference.replace("-", ""), 4);
  return size === 0n ? sign + "<0.01" : sign + unscaled(size, 2);
}

/** For the height of a pixel only. */
export function height(value) {
  return value === null ? null : Number(value);
}
