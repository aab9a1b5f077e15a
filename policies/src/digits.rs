//! Numbers and addresses as text, digit by digit: what is written for each request. The standard library's formatting takes
//! several times as long.

use std::net::IpAddr;

/// Adds a number of at least so many digits.
pub fn decimal<const LEAST: usize>(text: &mut Vec<u8>, mut value: u64) {
    let mut digits = [b'0'; 20];
    let mut used = 0;
    for place in digits.iter_mut().rev() {
        if value == 0 && used >= LEAST {
            break;
        }
        *place = digit(value % 10);
        (value, used) = (value / 10, used + 1);
    }
    text.extend_from_slice(digits.get(digits.len() - used..).unwrap_or_default());
}

/// A number below ten.
pub(crate) fn digit(value: u64) -> u8 {
    b'0' + u8::try_from(value).unwrap_or_default()
}

/// A number below sixteen, in lower case.
pub(crate) fn hexadecimal(value: u8) -> u8 {
    HEXADECIMAL.get(usize::from(value)).copied().unwrap_or(b'0')
}

/// The digits of such numbers, in their order.
pub(crate) const HEXADECIMAL: &[u8; 16] = b"0123456789abcdef";

/// Adds an address.
pub fn address(text: &mut Vec<u8>, address: IpAddr) {
    let IpAddr::V4(address) = address else { return text.extend_from_slice(address.to_string().as_bytes()) };
    for (at, octet) in address.octets().into_iter().enumerate() {
        if at > 0 {
            text.push(b'.');
        }
        if octet > 99 {
            text.push(b'0' + octet / 100);
        }
        if octet > 9 {
            text.push(b'0' + octet / 10 % 10);
        }
        text.push(b'0' + octet % 10);
    }
}

#[cfg(test)]
#[cfg(not(loom))]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn written(write: impl FnOnce(&mut Vec<u8>)) -> String {
        let mut text = b"=".to_vec();
        write(&mut text);
        String::from_utf8_lossy(&text).into_owned()
    }

    #[test]
    fn addresses_are_written_as_they_are_read() {
        for ip in ["0.0.0.0", "9.10.99.100", "255.249.200.1", "::1", "2001:db8::7", "::ffff:192.0.2.7"] {
            assert_eq!(written(|text| address(text, ip.parse().unwrap())), format!("={ip}"));
        }
    }

    proptest! {
        #[test]
        fn what_is_written_is_what_the_standard_library_writes(number: u64, ip: IpAddr, small in 0..300_u64) {
            for number in [number, small, u64::MAX] {
                prop_assert_eq!(written(|text| decimal::<1>(text, number)), format!("={number}"));
                prop_assert_eq!(written(|text| decimal::<3>(text, number)), format!("={number:03}"));
            }
            prop_assert_eq!(written(|text| address(text, ip)), format!("={ip}"));
        }
    }
}
