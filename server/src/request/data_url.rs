//! Data URLs in their base64 form (RFC 2397): `data:[<media type>][;<attribute>=<value>…];base64,<data>`.
//!
//! Scheme, media type and `base64` in any case; data in the standard alphabet, padded, without white
//! space. The media type must be a picture's or absent; what the picture is, its first bytes decide.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::PictureUrlFault;

/// The bytes of `url`'s data, at most `max_bytes` of them.
pub(crate) fn decode(url: &str, max_bytes: usize) -> Result<Vec<u8>, PictureUrlFault> {
    let Some((scheme, rest)) = url.split_once(':') else {
        return Err(PictureUrlFault::NotADataUrl);
    };
    if scheme.eq_ignore_ascii_case("http") || scheme.eq_ignore_ascii_case("https") {
        return Err(PictureUrlFault::FetchingDisabled);
    }
    if !scheme.eq_ignore_ascii_case("data") {
        return Err(PictureUrlFault::NotADataUrl);
    }
    let (description, data) = rest.split_once(',').ok_or(PictureUrlFault::NotADataUrl)?;
    let Some((media_type, encoding)) = description.rsplit_once(';') else {
        return Err(PictureUrlFault::NotBase64Form);
    };
    if !encoding.eq_ignore_ascii_case("base64") {
        return Err(PictureUrlFault::NotBase64Form);
    }
    let essence = media_type.split(';').next().unwrap_or_default();
    let is_picture = essence.get(..6).is_some_and(|family| family.eq_ignore_ascii_case("image/"));
    if !essence.is_empty() && !is_picture {
        return Err(PictureUrlFault::MediaType);
    }
    decode_base64(data, max_bytes)
}

/// The bytes of a picture's bare base64, 1 to `max_bytes` of them.
pub(super) fn decode_base64(data: &str, max_bytes: usize) -> Result<Vec<u8>, PictureUrlFault> {
    if data.is_empty() {
        return Err(PictureUrlFault::Empty);
    }
    if data.len().div_ceil(4).saturating_mul(3) > max_bytes.saturating_add(2) {
        return Err(PictureUrlFault::TooLarge { limit: max_bytes });
    }
    let bytes = STANDARD.decode(data).map_err(|_| PictureUrlFault::Base64)?;
    if bytes.len() > max_bytes {
        return Err(PictureUrlFault::TooLarge { limit: max_bytes });
    }
    Ok(bytes)
}
