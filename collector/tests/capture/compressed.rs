//! Compressed bodies. The fixtures were made by others: Python's gzip and zlib, Node's brotli, the zstd command.

use std::io::Write as _;

use flate2::Compression;
use flate2::write::{DeflateEncoder, GzEncoder, ZlibEncoder};
use reqwest::Response;
use ruzstd::encoding::{CompressionLevel, compress_to_vec};
use tallymark_protocol::limits::{COMPRESSION_FREE_BYTES, DECOMPRESSED_BYTES_MAX};

use crate::world::{Answer, World};

macro_rules! fixture {
    ($name:literal) => {
        include_bytes!(concat!("../fixtures/", $name)).as_slice()
    };
}

async fn send(world: &World, body: &[u8], encoding: Option<&str>) -> Response {
    let mut request = world.capture(String::new()).body(body.to_vec());
    if let Some(encoding) = encoding {
        request = request.header("content-encoding", encoding);
    }
    request.send().await.unwrap()
}

fn gzip(body: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(body).unwrap();
    encoder.finish().unwrap()
}

fn zlib(body: &[u8]) -> Vec<u8> {
    let mut encoder = ZlibEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(body).unwrap();
    encoder.finish().unwrap()
}

fn bare_deflate(body: &[u8]) -> Vec<u8> {
    let mut encoder = DeflateEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(body).unwrap();
    encoder.finish().unwrap()
}

fn zstd(body: &[u8]) -> Vec<u8> {
    compress_to_vec(body, CompressionLevel::Fastest)
}

#[tokio::test]
async fn every_coding_is_read_by_its_header_or_its_first_bytes() {
    let world = World::new().await;
    send(&world, fixture!("body.json"), None).await;
    let plain = world.queued().await.remove(0);
    assert_eq!(plain.events.len(), 12);
    let cases = [
        ("gzip", fixture!("body.gz"), true),
        ("x-gzip", fixture!("body.gz"), true),
        ("GZIP", fixture!("body.members.gz"), true),
        ("deflate", fixture!("body.zlib"), true),
        ("deflate", fixture!("body.small-window.zlib"), true),
        ("deflate", fixture!("body.deflate"), false),
        ("br", fixture!("body.br"), false),
        ("zstd", fixture!("body.zst"), true),
        ("zstd", fixture!("body.frames.zst"), true),
    ];
    for (coding, body, shows_itself) in cases {
        assert_answer!(send(&world, body, Some(coding)).await, 202, {"accepted": 12, "rejected": []});
        let headers = if shows_itself { [None, Some("identity")] } else { [Some(coding); 2] };
        for header in headers {
            assert_eq!(send(&world, body, header).await.status(), 202, "{coding} {header:?}");
        }
        for envelope in world.queued().await {
            let as_json = |events| serde_json::to_value(events).unwrap();
            assert_eq!(as_json(&envelope.events), as_json(&plain.events), "{coding}");
        }
    }
}

#[tokio::test]
async fn what_shows_no_coding_and_names_none_is_no_json() {
    let world = World::new().await;
    for body in [fixture!("body.br"), fixture!("body.deflate")] {
        assert_eq!(send(&world, body, None).await.status(), 400);
    }
}

#[tokio::test]
async fn a_damaged_body_is_400_and_names_its_coding() {
    let world = World::new().await;
    let whole = [
        ("gzip", fixture!("body.gz")),
        ("deflate", fixture!("body.zlib")),
        ("deflate", fixture!("body.deflate")),
        ("br", fixture!("body.br")),
        ("zstd", fixture!("body.zst")),
    ];
    for (coding, body) in whole {
        let mut flipped = body.to_vec();
        let middle = flipped.len() / 2;
        flipped[middle] ^= 0xff;
        let followed = [body, b"and more"].concat();
        let damaged: [&[u8]; 5] =
            [&body[..body.len() / 2], &body[..body.len() - 1], &followed, b"{\"name\":\"a\"}", b""];
        for (index, damaged) in damaged.into_iter().enumerate() {
            let answer = Answer::of(send(&world, damaged, Some(coding)).await).await;
            assert_eq!(answer.status, 400, "{coding} {index}: {:?}", answer.body);
            assert_eq!(answer.body["error"], "malformed_body");
            let detail = answer.body["detail"].as_str().unwrap().to_owned();
            assert!(detail.starts_with(&format!("the body cannot be read as {coding}: ")), "{detail}");
        }
        // A byte that is wrong is noticed by a sum, or the JSON is no JSON, or a text is another one: never more.
        let status = send(&world, &flipped, Some(coding)).await.status();
        assert!([202, 400].contains(&status.as_u16()), "{coding}: {status}");
    }
    assert_answer!(send(&world, &fixture!("body.gz")[..100], None).await, 400, {
        "error": "malformed_body",
        "detail": "the body cannot be read as gzip: it ends too early",
        "hint": "send one event, an array of events, or {\"events\": [...]} as JSON in UTF-8",
    });
}

#[tokio::test]
async fn what_grows_a_hundredfold_is_413_in_every_coding() {
    let world = World::new().await;
    let spaces = vec![b' '; 2 * DECOMPRESSED_BYTES_MAX];
    let bombs = [
        ("gzip", gzip(&spaces)),
        ("deflate", zlib(&spaces)),
        ("deflate", bare_deflate(&spaces)),
        ("br", fixture!("bomb.br").to_vec()),
        ("zstd", zstd(&spaces)),
        ("zstd", fixture!("bomb.zst").to_vec()),
    ];
    for (coding, bomb) in bombs {
        assert_answer!(send(&world, &bomb, Some(coding)).await, 413, {
            "error": "ratio_too_high",
            "detail": "the body becomes more than 100 times larger when it is decompressed",
            "hint": "split the events over several requests, or send the body as it is",
        });
    }
    assert!(world.queued().await.is_empty());
}

#[tokio::test]
async fn a_small_body_may_compress_as_well_as_it_likes() {
    let world = World::new().await;
    let name = "{\"name\":\"a\"}";
    let small = format!("[{name}{}]", " ".repeat(COMPRESSION_FREE_BYTES - name.len() - 2));
    assert_eq!(small.len(), COMPRESSION_FREE_BYTES);
    assert_eq!(send(&world, &gzip(small.as_bytes()), None).await.status(), 202);
    assert_eq!(send(&world, &gzip(format!("{small} ").as_bytes()), None).await.status(), 413);
}

#[tokio::test]
async fn what_is_too_large_without_compression_is_413() {
    let world = World::new().await;
    // Numbers between words: it compresses ten times, not a hundred.
    let lines = |bytes: usize| {
        let mut body = "[".to_owned();
        let mut number = 1_u64;
        while body.len() < bytes {
            number = number.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            body += &format!("{}:{:08x}", " ".repeat(120), number >> 32);
        }
        body.truncate(bytes);
        body
    };
    let (fits, is_too_large) = (lines(DECOMPRESSED_BYTES_MAX), lines(DECOMPRESSED_BYTES_MAX + 1));
    for (coding, compress) in [("gzip", gzip as fn(&[u8]) -> Vec<u8>), ("zstd", zstd)] {
        let answer = Answer::of(send(&world, &compress(fits.as_bytes()), Some(coding)).await).await;
        assert_eq!(
            (answer.status, &answer.body["error"]),
            (400, &"malformed_body".into()),
            "it is read, and no JSON"
        );
        assert_answer!(send(&world, &compress(is_too_large.as_bytes()), Some(coding)).await, 413, {
            "error": "body_too_large",
            "detail": "the body has more than 4194304 bytes when it is decompressed",
            "hint": "split the events over several requests",
        });
    }
}
