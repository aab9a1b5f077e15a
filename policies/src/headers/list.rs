//! Comma-separated header values: RFC 9110 §5.6.1.

/// The members of a list, without the white space around them; empty ones are left out, as a recipient must.
pub(super) fn members(value: &[u8]) -> impl DoubleEndedIterator<Item = &[u8]> {
    value.split(|&byte| byte == b',').map(<[u8]>::trim_ascii).filter(|member| !member.is_empty())
}
