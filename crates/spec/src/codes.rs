//! The stable codes of findings, in one table: those of the check itself and those with which operators and
//! expressions (`weir_zset`) refuse a stage. The [`Catalog`](crate::Catalog) adds codes of its own, which pass
//! through unchanged.

/// Declares the codes and [`TABLE`] from one list.
macro_rules! codes {
    ($($name:ident = $text:literal: $doc:literal,)*) => {
        $(#[doc = $doc] pub const $name: &str = $text;)*
        /// Every code with its meaning, sorted by code.
        pub const TABLE: &[(&str, &str)] = &[$(($text, $doc)),*];
    };
}

codes! {
    BAD_CONFIG = "bad_config": "A plugin's config does not fit the plugin's own schema.",
    BAD_INTERPOLATION = "bad_interpolation": "A `${...}` that is neither `${env:NAME}`, `${env:NAME:-default}` nor `${file:path}`.",
    BAD_NAME = "bad_name": "A name with characters other than letters, digits and `_`, or one that begins with a digit.",
    BAD_TYPE = "bad_type": "A value of another kind than its key takes, such as text for a number.",
    BAD_VALUE = "bad_value": "A value of the right kind outside of what its key takes.",
    CAST_DROPS_DIGITS = "cast_drops_digits": "A cast in an expression that would lose digits of a decimal.",
    CYCLE = "cycle": "Stages that read each other in a circle.",
    DUPLICATE_COLUMN = "duplicate_column": "A column that is named twice where once is meant.",
    DUPLICATE_INPUT = "duplicate_input": "A stage that reads the same rows twice.",
    DUPLICATE_KEY = "duplicate_key": "A key that stands twice in one mapping.",
    DUPLICATE_NAME = "duplicate_name": "One name for two things, such as a source and a stage, or one topic or folder for two sinks.",
    FILE_MISSING = "file_missing": "A file that the pipeline names and that is not there.",
    FILE_UNREADABLE = "file_unreadable": "A pipeline file that is not there, no file, or not UTF-8.",
    FLOAT_BESIDE_DECIMAL = "float_beside_decimal": "A floating point column in an expression with decimals.",
    INTERNAL = "internal": "A fault of Weir itself.",
    INVALID_EXPRESSION = "invalid_expression": "An expression that cannot be read or has no meaning here.",
    MISSING_COLUMN = "missing_column": "A column that a plugin asks for, or that a group stage needs, is not there.",
    MISSING_INPUT = "missing_input": "An input that a plugin asks for by name is not given.",
    MISSING_KEY = "missing_key": "A key that must be there is not.",
    NOT_A_LOG = "not_a_log": "`latest` or `dedupe` over rows that are no longer records in offset order.",
    NOT_IMMUTABLE = "not_immutable": "A function whose answer depends on more than its arguments, such as the time.",
    NULLABLE_COLUMN = "nullable_column": "A column that may be null goes into a plugin that takes no null there.",
    PLUGIN_MISSING = "plugin_missing": "A plugin that is not in the folder that `plugins` names.",
    PLUGIN_SHAPE = "plugin_shape": "A plugin that does not do what the stage asks: row by row, or group by group.",
    PORT_NEEDED = "port_needed": "A stage with several outputs is named without saying which.",
    RESERVED_NAME = "reserved_name": "A column whose name begins with `_`: those belong to record metadata.",
    SEVERAL_DOCUMENTS = "several_documents": "More than one YAML document in the file.",
    SEVERAL_OPERATIONS = "several_operations": "A stage with more than one operation.",
    TOO_LARGE = "too_large": "More nesting, nodes or text than a pipeline file may have.",
    UNEQUAL_INPUTS = "unequal_inputs": "Rows that are put together and do not have the same columns.",
    UNKNOWN_CLUSTER = "unknown_cluster": "A Kafka cluster that the file does not define.",
    UNKNOWN_COLUMN = "unknown_column": "A column that the rows do not have.",
    UNKNOWN_FUNCTION = "unknown_function": "A function that expressions do not have.",
    UNKNOWN_KEY = "unknown_key": "A key that has no meaning there.",
    UNKNOWN_PORT = "unknown_port": "An output or input that the plugin does not have.",
    UNKNOWN_REFERENCE = "unknown_reference": "A source or stage that the file does not define.",
    UNKNOWN_REGISTRY = "unknown_registry": "A schema registry that the file does not define.",
    UNKNOWN_TABLE = "unknown_table": "A table that the file does not define.",
    UNKNOWN_TAG = "unknown_tag": "A YAML tag outside of the core schema.",
    UNKNOWN_VERSION = "unknown_version": "A version of the grammar that this Weir does not know.",
    UNRESOLVED = "unresolved": "An environment variable or file of a `${...}` that is not there.",
    UNTYPED_NULL = "untyped_null": "A null in an expression whose type nothing tells.",
    UNUSED = "unused": "A source, stage, cluster or registry that nothing uses.",
    WRONG_INPUTS = "wrong_inputs": "An operation with more or fewer inputs than it takes.",
    WRONG_TYPE = "wrong_type": "A column of another type than the one that is needed there.",
    YAML = "yaml": "Text that is not YAML.",
}

#[cfg(test)]
mod tests {
    use super::TABLE;

    /// The table is read by people: sorted, each code once.
    #[test]
    fn the_table_is_sorted() {
        assert!(TABLE.windows(2).all(|pair| pair[0].0 < pair[1].0));
    }
}
