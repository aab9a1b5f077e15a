//! Which addresses may call. The most specific network that holds an address speaks for it.

use std::net::IpAddr;

use ipnet::{IpNet, Ipv4Net};

use crate::verdict::Denial;
use crate::why::Witness;

/// The length of `::ffff:0:0`, under which IPv6 writes IPv4 addresses (RFC 4291 section 2.5.5.2).
const MAPPED_PREFIX: u8 = 96;

/// Who may call by address, and who may not.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct AddressSettings {
    /// The networks that may call. `None`: there is no such list, and whoever is not denied may call. A list, even an
    /// empty one, means nobody else may: so taking the last network out of a list never opens the door.
    pub allow: Option<Vec<IpNet>>,
    /// The networks that may not.
    pub deny: Vec<IpNet>,
}

/// Address rules, laid out for one binary search. IPv4 written as IPv6 (`::ffff:10.0.0.1`) is IPv4, in networks and
/// in addresses; an IPv6 network such as `::/0` says nothing about IPv4.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct AddressRules {
    v4: Box<[Span]>,
    v6: Box<[Span]>,
    otherwise: Verdict,
}

/// From this address until the next span begins, this rule speaks.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
struct Span {
    from: u128,
    rule: Option<Rule>,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
struct Rule {
    net: IpNet,
    verdict: Verdict,
}

/// `Deny` stands last so that it survives where both are said of one network.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
enum Verdict {
    Allow,
    Deny,
}

impl AddressRules {
    /// Lays the rules out. Cannot fail: every pair of lists means something, and where one network stands in both,
    /// it is denied.
    pub fn compile(settings: &AddressSettings) -> Self {
        let allowed = settings.allow.iter().flatten().map(|net| Rule::of(*net, Verdict::Allow));
        let denied = settings.deny.iter().map(|net| Rule::of(*net, Verdict::Deny));
        let (v4, v6) = allowed.chain(denied).partition(|rule| rule.net.addr().is_ipv4());
        let otherwise = if settings.allow.is_some() { Verdict::Deny } else { Verdict::Allow };
        Self { v4: spans(v4), v6: spans(v6), otherwise }
    }

    /// Lets the address pass, or answers `address-denied`.
    pub fn check(&self, address: IpAddr, why: &mut impl Witness) -> Result<(), Denial> {
        let rule = self.rule(address.to_canonical());
        let verdict = rule.map_or(self.otherwise, |rule| rule.verdict);
        why.note("addresses", || match (rule, verdict) {
            (Some(rule), Verdict::Allow) => format!("{address} is allowed by {}", rule.net),
            (Some(rule), Verdict::Deny) => format!("{address} is denied by {}", rule.net),
            (None, Verdict::Allow) => format!("{address} is in no denied network"),
            (None, Verdict::Deny) => format!("{address} is in no allowed network"),
        });
        match verdict {
            Verdict::Allow => Ok(()),
            Verdict::Deny => Err(Denial::AddressDenied),
        }
    }

    fn rule(&self, address: IpAddr) -> Option<Rule> {
        let spans = if address.is_ipv4() { &self.v4 } else { &self.v6 };
        let at = number(address);
        let after = spans.partition_point(|span| span.from <= at);
        after.checked_sub(1).and_then(|i| spans.get(i)).and_then(|span| span.rule)
    }
}

impl Rule {
    fn of(net: IpNet, verdict: Verdict) -> Self {
        Self { net: canonical(net).trunc(), verdict }
    }

    fn last(&self) -> u128 {
        number(self.net.broadcast())
    }
}

/// Networks lie beside or inside each other and never overlap half, so one walk from the lowest address up, with the
/// networks we are inside of on a stack, meets every place where another rule takes over.
fn spans(mut rules: Vec<Rule>) -> Box<[Span]> {
    rules.sort_by_key(|rule| (number(rule.net.addr()), rule.net.prefix_len(), rule.verdict));
    let mut spans = Vec::new();
    let mut inside: Vec<Rule> = Vec::new();
    for rule in rules {
        let from = number(rule.net.addr());
        leave(&mut inside, &mut spans, |last| last < from);
        begin(&mut spans, Span { from, rule: Some(rule) });
        inside.push(rule);
    }
    leave(&mut inside, &mut spans, |_| true);
    spans.into()
}

fn leave(inside: &mut Vec<Rule>, spans: &mut Vec<Span>, ended: impl Fn(u128) -> bool) {
    while let Some(rule) = inside.pop_if(|rule| ended(rule.last())) {
        // A network that reaches the end of all addresses has nothing after it.
        if let Some(from) = rule.last().checked_add(1) {
            begin(spans, Span { from, rule: inside.last().copied() });
        }
    }
}

/// Of two spans from one address the later one counts: the inner network, or the outer one that goes on.
fn begin(spans: &mut Vec<Span>, span: Span) {
    spans.pop_if(|last| last.from == span.from);
    spans.push(span);
}

fn canonical(net: IpNet) -> IpNet {
    match (net.addr().to_canonical(), net.prefix_len().checked_sub(MAPPED_PREFIX)) {
        (IpAddr::V4(address), Some(prefix)) if matches!(net, IpNet::V6(_)) => {
            Ipv4Net::new(address, prefix).map_or(net, IpNet::V4)
        }
        _ => net,
    }
}

fn number(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(v4) => u32::from(v4).into(),
        IpAddr::V6(v6) => v6.into(),
    }
}
