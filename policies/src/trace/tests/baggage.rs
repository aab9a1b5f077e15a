//! Baggage: well-formed members go on as they are, others go.

use super::*;
use crate::trace::baggage;

fn check(lines: &[&str], expected: Option<&str>) {
    let fields: Vec<_> = lines.iter().map(|line| ("baggage", *line)).collect();
    let kept = baggage(&headers(&fields), &mut Silent);
    assert_eq!(kept.as_ref().map(|value| value.to_str().unwrap()), expected, "{lines:?}");
}

#[test]
fn what_is_well_formed_goes_on() {
    for line in [
        "key1=value1",
        "userId=alice,serverNode=DF%2028,isProduction=false",
        "key1=value1;property1;property2,key2=value2",
        "k=",
        "k=a=b==",
        "k=v;p=a=b;q=",
        "!#$%&'*+-.^_`|~09azAZ=!#$%&'()*+-./:<=>?@[]^_`{|}~",
    ] {
        check(&[line], Some(line));
    }
}

#[test]
fn white_space_inside_a_member_is_left_alone() {
    check(&["k = v ; p = 1 ; q"], Some("k = v ; p = 1 ; q"));
    check(&["  a=1 \t,\t b = 2  "], Some("a=1,b = 2"));
}

#[test]
fn several_fields_are_one_list() {
    check(&["a=1", "b=2,c=3"], Some("a=1,b=2,c=3"));
    check(&["a=1", "a=2"], Some("a=1,a=2"));
}

#[test]
fn malformed_members_are_left_out_and_nothing_is_put_in() {
    for (lines, expected) in [
        (&[][..], None),
        (&[""], None),
        (&[",,"], None),
        (&["a"], None),
        (&["=1"], None),
        (&["a b=1"], None),
        (&["a=1 2"], None),
        (&["a=\"1\""], None),
        (&["a=b\\c"], None),
        (&["a=é"], None),
        (&["a=1;"], None),
        (&["a=1;;p"], None),
        (&["a=1;p q"], None),
        (&["a=1;=2"], None),
        (&["(a)=1"], None),
        (&["a=1,b,c=3"], Some("a=1,c=3")),
        (&["a=1,,c=3"], Some("a=1,c=3")),
        (&["a", "b=2"], Some("b=2")),
    ] {
        check(lines, expected);
    }
}

/// Reliability §2 row 58.
#[test]
fn baggage_is_bounded_and_cut_by_whole_members() {
    let members = |count: usize| (0..count).map(|n| format!("k{n}=v")).collect::<Vec<_>>().join(",");
    check(&[&members(64)], Some(&members(64)));
    check(&[&members(180)], Some(&members(180)));
    check(&[&members(181)], Some(&members(180)));
    check(&[&members(100), &members(100)], Some(&format!("{},{}", members(100), members(80))));
    let big = format!("k={}", "v".repeat(8190));
    assert_eq!(big.len(), 8192);
    check(&[&big], Some(&big));
    check(&[&format!("{big}v")], None);
    check(&[&big, "a=1"], Some(&big));
    check(&["a=1", &big, "b=2"], Some("a=1"));
    check(&["a", &big, "b=2"], Some(&big));
}

#[test]
fn the_witness_hears_what_was_left_out() {
    let mut notes = Notes::default();
    baggage(&headers(&[("baggage", "a,b,c=1")]), &mut notes);
    assert_eq!(notes.0[0].words, "2 malformed baggage member(s) left out");
}
