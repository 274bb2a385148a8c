// Numbers, units and times as people read them. Durations from the server are seconds.

const SPACE = '\u202f'; // narrow, and no line breaks there
const NONE = '–';
const grouped = new Intl.NumberFormat('en');

const isNumber = (value) => typeof value === 'number' && Number.isFinite(value);
const digits = (value) => (value < 10 ? 2 : value < 100 ? 1 : 0);

export function count(value) {
  return isNumber(value) ? grouped.format(value) : NONE;
}

export function rate(perSecond) {
  if (!isNumber(perSecond)) {
    return NONE;
  }
  return perSecond < 1000 ? perSecond.toFixed(perSecond === 0 ? 0 : digits(perSecond))
    : grouped.format(Math.round(perSecond));
}

export function duration(seconds) {
  if (!isNumber(seconds)) {
    return NONE;
  }
  const ms = seconds * 1000;
  if (ms > 0 && ms < 0.0995) {
    return `${Math.max(1, Math.round(ms * 1000))}${SPACE}µs`;
  }
  return ms < 10000 ? `${ms.toFixed(digits(ms))}${SPACE}ms` : `${seconds.toFixed(digits(seconds))}${SPACE}s`;
}

export function percent(part, whole) {
  if (!isNumber(part) || !whole) {
    return NONE;
  }
  const value = (100 * part) / whole;
  if (value > 0 && value < 0.05) {
    return `<0.1${SPACE}%`;
  }
  // What is not all of it must not be rounded to look so.
  const shown = value < 100 ? Math.min(value, 99.9) : 100;
  return `${shown === 0 || shown === 100 ? shown : shown.toFixed(1)}${SPACE}%`;
}

export function bytes(value) {
  if (!isNumber(value)) {
    return NONE;
  }
  const units = ['B', 'KiB', 'MiB', 'GiB', 'TiB'];
  let unit = 0;
  while (value >= 1024 && unit < units.length - 1) {
    value /= 1024;
    unit += 1;
  }
  const text = unit === 0 || Number.isInteger(value) ? String(value) : value.toFixed(value < 100 ? 1 : 0);
  return `${text}${SPACE}${units[unit]}`;
}

// "3 d 4 h", "12 min 5 s": two units at most.
export function span(seconds) {
  if (!isNumber(seconds)) {
    return NONE;
  }
  let rest = Math.max(0, Math.floor(seconds));
  const parts = [];
  for (const [unit, size] of [['d', 86400], ['h', 3600], ['min', 60], ['s', 1]]) {
    const many = Math.floor(rest / size);
    rest -= many * size;
    if (many > 0 || (unit === 's' && parts.length === 0)) {
      parts.push(`${many}${SPACE}${unit}`);
    } else if (parts.length > 0) {
      break;
    }
    if (parts.length === 2) {
      break;
    }
  }
  return parts.join(' ');
}

// The coarsest unit only: it changes seldom, and so does the width of what shows it.
export function ago(time, now) {
  if (!time) {
    return 'never';
  }
  const seconds = (Date.parse(now) - Date.parse(time)) / 1000;
  return seconds < 2 ? 'just now' : `${span(seconds).split(' ')[0]} ago`;
}

export function until(time, now) {
  const seconds = (Date.parse(time) - Date.parse(now)) / 1000;
  return seconds <= 0 ? 'expired' : `in ${span(seconds).split(' ')[0]}`;
}

const two = (value) => String(value).padStart(2, '0');

export function clock(date) {
  return `${two(date.getHours())}:${two(date.getMinutes())}:${two(date.getSeconds())}`;
}

// The viewer's own time; the day too, since trails are read days later.
export function localTime(time) {
  const date = new Date(time);
  if (Number.isNaN(date.getTime())) {
    return String(time);
  }
  return `${date.getFullYear()}-${two(date.getMonth() + 1)}-${two(date.getDate())} ${clock(date)}`;
}

export function zone() {
  const minutes = -new Date().getTimezoneOffset();
  const sign = minutes < 0 ? '−' : '+';
  const hours = Math.floor(Math.abs(minutes) / 60);
  const rest = Math.abs(minutes) % 60;
  return minutes === 0 ? 'UTC' : `UTC${sign}${hours}${rest ? `:${two(rest)}` : ''}`;
}
