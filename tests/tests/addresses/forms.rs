//! An address in every form in which it could stand somewhere, and looking for them.

use std::fs;
use std::net::{IpAddr, Ipv6Addr};
use std::path::Path;

/// What was found, or where: bytes under the name of the place that they are of.
pub(crate) type Places = Vec<(String, Vec<u8>)>;

/// The forms of an address. Texts are in small letters.
pub(crate) struct Forms(Vec<(String, Form)>);

enum Form {
    Text(String),
    Packed(Vec<u8>),
}

impl Forms {
    pub(crate) fn of(address: IpAddr) -> Self {
        let mapped = match address {
            IpAddr::V4(address) => address.to_ipv6_mapped(),
            IpAddr::V6(address) => address,
        };
        let packed = match address {
            IpAddr::V4(address) => address.octets().to_vec(),
            IpAddr::V6(address) => address.octets().to_vec(),
        };
        let reversed: Vec<u8> = packed.iter().rev().copied().collect();
        let hex: String = packed.iter().map(|byte| format!("{byte:02x}")).collect();
        let decimals: Vec<String> = packed.iter().map(ToString::to_string).collect();
        let mut texts = vec![
            ("text", address.to_string()),
            ("text of the mapped", mapped.to_string()),
            ("groups of the mapped", groups(mapped)),
            ("hexadecimal", hex),
            ("integer", integer(&packed).to_string()),
            ("list of bytes", decimals.join(",")),
        ];
        if let IpAddr::V4(address) = address {
            texts.push(("signed integer", i32::from_be_bytes(address.octets()).to_string()));
        }
        let text =
            |(name, text): (&str, String)| (format!("{address} as {name}"), Form::Text(text.to_lowercase()));
        let mut forms: Vec<_> = texts.into_iter().map(text).collect();
        forms.push((format!("{address} packed"), Form::Packed(packed)));
        forms.push((format!("{address} packed, the last byte first"), Form::Packed(reversed)));
        Self(forms)
    }

    /// The form in which the address stands in `bytes`, if it does.
    pub(crate) fn found_in(&self, bytes: &[u8]) -> Option<&str> {
        let text = String::from_utf8_lossy(bytes).to_lowercase();
        let stands = |form: &Form| match form {
            Form::Text(wanted) => text.contains(wanted.as_str()),
            Form::Packed(wanted) => contains(bytes, wanted),
        };
        self.0.iter().find(|(_, form)| stands(form)).map(|(name, _)| name.as_str())
    }
}

fn groups(address: Ipv6Addr) -> String {
    address.segments().map(|group| format!("{group:04x}")).join(":")
}

fn integer(packed: &[u8]) -> u128 {
    packed.iter().fold(0, |number, byte| number << 8 | u128::from(*byte))
}

fn contains(bytes: &[u8], wanted: &[u8]) -> bool {
    bytes.windows(wanted.len()).any(|window| window == wanted)
}

/// Every file below `folder`, whole. A file that goes while it is looked for holds nothing any more.
pub(crate) fn files(name: &str, folder: &Path) -> Places {
    let mut places = Vec::new();
    let Ok(entries) = fs::read_dir(folder) else { return places };
    for entry in entries.flatten() {
        let path = entry.path();
        let name = format!("{name}/{}", entry.file_name().to_string_lossy());
        if path.is_dir() {
            places.extend(files(&name, &path));
        } else if let Ok(bytes) = fs::read(&path) {
            places.push((name, bytes));
        }
    }
    places
}

#[test]
fn every_form_of_an_address_is_seen() {
    let v4 = Forms::of("203.0.113.77".parse().unwrap());
    let packed = [1, 203, 0, 113, 77, 1];
    let samples: [&[u8]; 9] = [
        b"x203.0.113.77x",
        b"::ffff:203.0.113.77",
        b"::FFFF:203.0.113.77",
        b"0000:0000:0000:0000:0000:ffff:cb00:714d",
        b"\\xCB00714D",
        b"3405803853",
        b"-889163443",
        b"[203,0,113,77]",
        &packed,
    ];
    for sample in samples {
        assert!(v4.found_in(sample).is_some(), "{}", String::from_utf8_lossy(sample));
    }
    assert_eq!(v4.found_in(b"203.0.113.0/24 and 203.0.113.7 and 203.0.113.78"), None);
    let v6 = Forms::of("2001:db8:5c3e:9d11:7a42:e6b8:13f5:c09d".parse().unwrap());
    assert!(v6.found_in(b"2001:DB8:5c3e:9d11:7a42:e6b8:13f5:c09d").is_some());
    assert!(v6.found_in(b"20010db85c3e9d117a42e6b813f5c09d").is_some());
    assert!(v6.found_in(&v6_packed()).is_some());
    assert_eq!(v6.found_in(b"2001:db8::/32"), None);
}

fn v6_packed() -> [u8; 16] {
    "2001:db8:5c3e:9d11:7a42:e6b8:13f5:c09d".parse::<Ipv6Addr>().unwrap().octets()
}
