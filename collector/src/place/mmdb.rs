//! Writes small files in MaxMind's format, for tests: a search tree over the bits of addresses, the records, and what
//! the file says of itself.

use std::net::IpAddr;

/// Where an IPv4 address begins in a tree of IPv6 addresses: `::/96`.
const V4_BITS: u8 = 96;

/// A value of a record.
pub(super) enum Value {
    Text(&'static str),
    Number16(u16),
    Number32(u32),
    Number64(u64),
    List(Vec<Value>),
    Map(Vec<(&'static str, Value)>),
}

/// Where one bit of an address leads.
#[derive(Clone, Copy)]
enum Branch {
    Nowhere,
    Node(usize),
    Record(usize),
}

/// A file of the given networks (`203.0.113.0/24`) and their records.
pub(super) fn file(networks: &[(&str, Value)]) -> Vec<u8> {
    let mut nodes = vec![[Branch::Nowhere; 2]];
    let mut records = Vec::new();
    for (network, record) in networks {
        let at = records.len();
        write(&mut records, record);
        insert(&mut nodes, network, at);
    }
    let number = |branch: &Branch| match branch {
        Branch::Nowhere => nodes.len(),
        Branch::Node(node) => *node,
        Branch::Record(at) => nodes.len() + SEPARATOR.len() + at,
    };
    let branches = nodes.iter().flatten().map(number);
    let mut bytes: Vec<u8> =
        branches.flat_map(|number| u32::try_from(number).unwrap().to_be_bytes()[1..].to_vec()).collect();
    bytes.extend(SEPARATOR);
    bytes.extend(records);
    bytes.extend(b"\xab\xcd\xefMaxMind.com");
    write(&mut bytes, &about(nodes.len()));
    bytes
}

const SEPARATOR: [u8; 16] = [0; 16];

fn about(nodes: usize) -> Value {
    Value::Map(vec![
        ("binary_format_major_version", Value::Number16(2)),
        ("binary_format_minor_version", Value::Number16(0)),
        ("build_epoch", Value::Number64(1_763_622_000)),
        ("database_type", Value::Text("Test-City")),
        ("description", Value::Map(vec![("en", Value::Text("for tests"))])),
        ("ip_version", Value::Number16(6)),
        ("languages", Value::List(vec![Value::Text("en")])),
        ("node_count", Value::Number32(u32::try_from(nodes).unwrap())),
        ("record_size", Value::Number16(24)),
    ])
}

fn insert(nodes: &mut Vec<[Branch; 2]>, network: &str, record: usize) {
    let (address, bits) = network.split_once('/').unwrap();
    let bits: u8 = bits.parse().unwrap();
    let (address, bits) = match address.parse().unwrap() {
        IpAddr::V4(address) => (u128::from(u32::from(address)), V4_BITS + bits),
        IpAddr::V6(address) => (u128::from(address), bits),
    };
    let mut node = 0;
    for bit in 0..bits {
        let side = usize::from(address >> (127 - bit) & 1 == 1);
        node = match nodes[node][side] {
            _ if bit + 1 == bits => {
                nodes[node][side] = Branch::Record(record);
                return;
            }
            Branch::Node(next) => next,
            Branch::Nowhere => {
                nodes.push([Branch::Nowhere; 2]);
                nodes[node][side] = Branch::Node(nodes.len() - 1);
                nodes.len() - 1
            }
            Branch::Record(_) => panic!("a network lies within another"),
        };
    }
}

fn write(bytes: &mut Vec<u8>, value: &Value) {
    match value {
        Value::Text(text) => {
            head(bytes, 2, text.len());
            bytes.extend(text.as_bytes());
        }
        Value::Number16(number) => number_of(bytes, 5, &number.to_be_bytes()),
        Value::Number32(number) => number_of(bytes, 6, &number.to_be_bytes()),
        Value::Number64(number) => number_of(bytes, 9, &number.to_be_bytes()),
        Value::List(values) => {
            head(bytes, 11, values.len());
            values.iter().for_each(|value| write(bytes, value));
        }
        Value::Map(pairs) => {
            head(bytes, 7, pairs.len());
            for (key, value) in pairs {
                write(bytes, &Value::Text(key));
                write(bytes, value);
            }
        }
    }
}

fn number_of(bytes: &mut Vec<u8>, kind: u8, big_endian: &[u8]) {
    head(bytes, kind, big_endian.len());
    bytes.extend(big_endian);
}

/// Kind and length; kinds beyond seven take a byte of their own.
fn head(bytes: &mut Vec<u8>, kind: u8, length: usize) {
    let length = u8::try_from(length).unwrap();
    assert!(length < 29, "longer values are written in another way");
    if kind <= 7 {
        bytes.push(kind << 5 | length);
    } else {
        bytes.extend([length, kind - 7]);
    }
}
