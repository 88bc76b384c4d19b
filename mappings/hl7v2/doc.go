// Package hl7v2 turns the bytes of an HL7 v2 message into a tree that can be read by position, and back.
//
// It owns: the character set (Decode, Encode), the syntax of a message (Parse, Message, Segment, Value, escapes), the
// groups of a message by its grammar (Group), acknowledgments (Answer, BuildAck), time stamps (ParseTime) and the
// MLLP frame (Reader, WriteFrame, Client). It knows no mapping, no FHIR and no storage; it imports nothing of this module.
//
// The shape of the data, from the wire inwards:
//
//	0x0B bytes 0x1C 0x0D                       Reader.Next gives bytes
//	bytes                                      Decode gives UTF-8 text, before anything is split
//	MSH|^~\&|LIS|…CR PID|1||000123^^^…CR       Parse gives a Message of Segments
//	OBX|1|NM|ALT^丙氨酸氨基转移酶^L||52|U/L      Segment.Field(3).Component(2).Text()
//	ORU_R01 > PATIENT_RESULT > …               GroupMessage gives a tree of *Group over the same segments
//
// Decoding comes before splitting because in GBK the bytes of the delimiters | ^ ~ \ are also second bytes of
// characters: 葉 is C8 7E, 瑋 is AC 7C.
//
// Invariants:
//
//   - Positions are 1-based, as printed in the standard: MSH-1 is the field separator, OBX-5 the value, PID-3.1 the id.
//   - Nothing is altered. A Value is the text as written, escapes included; Text unescapes on demand. Print gives back the
//     text that was parsed, byte for byte, if its segments end with CR and nothing was reported as a Finding.
//   - Nothing is dropped in silence. What the standard does not provide for but senders do is accepted and reported as a
//     Finding, which names a place (OBX[3].5) and never a patient's value.
//   - Everything is bounded: see Limits and ReaderOptions.
//
// A Message and the Groups over it are immutable after Parse and GroupMessage, and safe for concurrent use. All strings
// handed out are parts of the decoded text and live as long as one of them is held.
package hl7v2
