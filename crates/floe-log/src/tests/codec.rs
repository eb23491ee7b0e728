//! What is written is read back, and no bytes make a decoder panic.

use bytes::BytesMut;
use floe_proto::{Millis, NameHash, RoomId};
use proptest::collection::vec;
use proptest::prelude::*;

use crate::frame::{self, Body, Frame, HEADER_LEN, Header, Kind};
use crate::lsn::Lsn;
use crate::manifest::{Manifest, ObjectId, SegmentId};
use crate::segment::{Lens, LensWriter, Place, ROW_LEN, Row, TRAILER_LEN, Trailer, lens};

prop_compose! {
    fn record()(
        kind in 1..=3u8,
        numbers in any::<[u32; 5]>(),
        name in any::<u128>(),
        meta in vec(any::<u8>(), 0..50),
        messages in any::<bool>(),
        units in vec(vec(any::<u8>(), 1..20), 0..20),
    ) -> (Header, Option<NameHash>, Vec<u8>, Vec<u32>, Vec<u8>) {
        let payload = units.concat();
        let messages = messages && !units.is_empty();
        let lens: Vec<u32> = units.iter().map(|unit| unit.len() as u32).collect();
        let lens = if messages { lens } else { Vec::new() };
        let header = Header {
            kind: [Kind::Create, Kind::Append, Kind::Delete][kind as usize - 1],
            messages,
            lsn: Lsn(numbers[0].into()),
            durable: Lsn(numbers[1].into()),
            room: RoomId(numbers[2].into()),
            first: numbers[3].into(),
            time: Millis(numbers[4].into()),
            payload_len: payload.len() as u32,
            meta_len: meta.len() as u32,
            units: if messages { lens.len() } else { payload.len() } as u32,
        };
        let name = (kind != 2).then_some(NameHash(name));
        (header, name, meta, lens, payload)
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn frames_round_trip_and_a_flipped_byte_is_seen(
        (header, name, meta, lens, payload) in record(),
        at in any::<prop::sample::Index>(),
        bits in 1..=255u8,
    ) {
        let mut buffer = BytesMut::new();
        let body = Body { name, meta: &meta, lens: &lens, payload: &payload };
        frame::put(&mut buffer, &header, &body);
        prop_assert_eq!(buffer.len(), header.frame_len());
        prop_assert_eq!(Header::check(&buffer, header.lsn), Some(header));
        prop_assert_eq!(Header::check(&buffer, header.lsn.plus(8)), None);
        let frame = Frame::check(&buffer, header).unwrap();
        prop_assert_eq!(frame.name(), name);
        prop_assert_eq!(frame.meta(), &meta);
        prop_assert_eq!(frame.lens().collect::<Vec<_>>(), lens);
        prop_assert_eq!(frame.payload(), &payload);

        let at = at.index(buffer.len());
        buffer[at] ^= bits;
        let found = Header::check(&buffer, header.lsn)
            .and_then(|header| Frame::check(&buffer, header));
        prop_assert!(found.is_none());
        // Wherever it was hit, it is seen that a frame was meant to be here.
        prop_assert!(Header::is_remnant(&buffer, header.lsn));
    }

    #[test]
    fn no_header_makes_a_frame_panic(
        mut bytes in vec(any::<u8>(), 0..300),
        small in any::<[u8; 3]>(),
        kind in 0..6u8,
    ) {
        let lsn = Lsn::new(1, 8);
        if bytes.len() >= HEADER_LEN {
            bytes[8..16].copy_from_slice(&lsn.0.to_le_bytes());
            for (field, value) in [48, 52, 56].into_iter().zip(small) {
                bytes[field..field + 4].copy_from_slice(&u32::from(value).to_le_bytes());
            }
            (bytes[60], bytes[61]) = (kind, bytes[61] % 3);
            let body = crc32c::crc32c(&bytes[HEADER_LEN..]);
            bytes[4..8].copy_from_slice(&body.to_le_bytes());
            let head = crc32c::crc32c(&bytes[4..HEADER_LEN]);
            bytes[..4].copy_from_slice(&head.to_le_bytes());
        }
        if let Some(frame) = Header::check(&bytes, lsn).and_then(|h| Frame::check(&bytes, h)) {
            prop_assert_eq!(frame.bytes_before(frame.header.units.into()) as usize, frame.payload().len());
            frame.name();
        }
        Header::is_remnant(&bytes, lsn);
    }

    #[test]
    fn manifests_round_trip_and_nothing_else_decodes(
        numbers in any::<[u32; 4]>(),
        hash_key in any::<[u8; 16]>(),
        segments in vec(any::<(u32, u64, u32, u64, u64)>(), 0..20),
        junk in vec(any::<u8>(), 0..200),
        at in any::<prop::sample::Index>(),
    ) {
        let segment = |(number, bytes, crc, newest, object)| SegmentId {
            number,
            bytes,
            crc,
            newest: Millis(newest),
            object: std::num::NonZeroU64::new(object).map(ObjectId),
        };
        let manifest = Manifest {
            hash_key,
            next_room: numbers[0].into(),
            next_segment: numbers[1],
            replay: Lsn(numbers[2].into()),
            durable: Lsn(numbers[3].into()),
            segments: segments.into_iter().map(segment).collect(),
        };
        let mut bytes = manifest.encode();
        prop_assert_eq!(Manifest::decode(&bytes).unwrap(), manifest);
        let at = at.index(bytes.len());
        bytes[at] ^= 1;
        prop_assert!(Manifest::decode(&bytes).is_err());

        let mut sealed = bytes[..12].to_vec();
        sealed.extend_from_slice(&junk);
        sealed.extend_from_slice(&crc32c::crc32c(&sealed).to_le_bytes());
        let _ = Manifest::decode(&sealed);
        let _ = Manifest::decode(&junk);
    }

    #[test]
    fn rows_and_trailers_round_trip(
        numbers in any::<[u32; 8]>(),
        name in any::<u128>(),
        flags in any::<[bool; 4]>(),
        junk in any::<[u8; 64]>(),
        more in any::<[u8; 24]>(),
    ) {
        let row = Row {
            room: RoomId(numbers[0].into()),
            name: NameHash(name),
            at: numbers[1].into(),
            state_len: numbers[2],
            lens_len: numbers[3],
            payload_len: numbers[4].into(),
            first: numbers[5].into(),
            end: u64::from(numbers[5]) + u64::from(numbers[4]),
            wake_at: flags[0].then_some(Millis(numbers[6].into())),
            keep_from: numbers[7].into(),
            tombstone: flags[1],
            messages: flags[2],
            object_at: flags[3].then_some(numbers[6]),
        };
        let elsewhere = row.object_at.map_or(0, |_| row.payload_len);
        let end = row.at + row.bytes() - elsewhere - ROW_LEN as u64;
        prop_assert_eq!(Row::decode(&row.encode(), end), Some(row));
        prop_assert_eq!(Row::decode(&row.encode(), end.wrapping_sub(1).min(end)), (end == 0).then_some(row));

        let trailer = Trailer {
            number: numbers[0],
            rows: numbers[1],
            tombstones: numbers[2],
            rows_at: numbers[3].into(),
            crcs_crc: numbers[4],
        };
        prop_assert_eq!(Trailer::decode(&trailer.encode()), Some(trailer));
        prop_assert_eq!(Trailer::decode(&junk), None);
        let mut bytes = [0; ROW_LEN];
        bytes[..TRAILER_LEN].copy_from_slice(&junk);
        bytes[TRAILER_LEN..].copy_from_slice(&more);
        Row::decode(&bytes, u64::MAX);
    }

    #[test]
    fn messages_are_found_by_number_and_by_place(
        sizes in vec(1..300u64, 1..300),
        from in any::<prop::sample::Index>(),
        to in any::<prop::sample::Index>(),
        bytes_max in 0..40_000u64,
    ) {
        let mut writer = LensWriter::default();
        sizes.iter().for_each(|&len| writer.push(len));
        let table = writer.parts().concat();
        let count = sizes.len() as u64;
        let read = |at: u64, len: usize| Ok::<_, ()>(table[at as usize..at as usize + len].to_vec());
        let all: Option<Vec<u64>> = lens::all(count, &table).unwrap().collect();
        prop_assert_eq!(all, Some(sizes.clone()));

        let lens = Lens::new(count, table.len() as u64, read).unwrap();
        let place = |message: usize| Place {
            message: message as u64,
            at: sizes[..message].iter().sum(),
        };
        let from = from.index(sizes.len());
        let to = from + 1 + to.index(sizes.len() - from);
        prop_assert_eq!(lens.place(from as u64), Ok(Some(place(from))));
        prop_assert_eq!(lens.place(count), Ok(Some(place(sizes.len()))));
        let fits = |&message: &usize| place(message).at - place(from).at <= bytes_max;
        let expected = (from..=to).take_while(fits).last().unwrap();
        prop_assert_eq!(lens.fit(place(from), to as u64, bytes_max), Ok(Some(place(expected))));
    }

    #[test]
    fn no_table_of_lengths_makes_a_read_panic(
        table in vec(any::<u8>(), 0..400),
        count in 0..500u64,
        message in 0..500u64,
        to in 0..500u64,
    ) {
        let read = |at: u64, len: usize| {
            let at = usize::try_from(at).map_err(|_| ())?;
            let found = table.get(at..at.saturating_add(len));
            Ok::<_, ()>(found.ok_or(())?.to_vec())
        };
        if let Some(lens) = Lens::new(count, table.len() as u64, read)
            && let Ok(Some(place)) = lens.place(message.min(count))
        {
            let _ = lens.fit(place, to.clamp(place.message, count), 1000);
        }
        let _ = lens::all(count, &table).map(Iterator::count);
    }
}
