// SPDX-License-Identifier: Apache-2.0
// See screen.h. Plain ANSI: every terminal that people still use knows these few sequences.
#include "userspace/cli/screen.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <csignal>
#include <cstdint>
#include <cstdlib>
#include <poll.h>
#include <string_view>
#include <sys/ioctl.h>
#include <sys/signalfd.h>
#include <unistd.h>
#include <utility>

namespace penstock::cli {
namespace {

// The alternate screen, no cursor, no wrapping at the right edge; and back.
constexpr std::string_view entering = "\x1b[?1049h\x1b[?25l\x1b[?7l\x1b[2J";
constexpr std::string_view leaving = "\x1b[?7h\x1b[?25h\x1b[?1049l";

sigset_t handled() {
    sigset_t set;
    sigemptyset(&set);
    for (const int number : {SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGTSTP, SIGWINCH})
        sigaddset(&set, number);
    return set;
}

bool end_is_asked() {
    sigset_t pending;
    sigemptyset(&pending);
    ::sigpending(&pending);
    const auto is_pending = [&](int number) { return sigismember(&pending, number) == 1; };
    return is_pending(SIGINT) || is_pending(SIGTERM) || is_pending(SIGHUP) || is_pending(SIGQUIT);
}

void write_all(std::string_view text) {
    while (!text.empty()) {
        const ssize_t done = ::write(STDOUT_FILENO, text.data(), text.size());
        if (done > 0)
            text.remove_prefix(static_cast<std::size_t>(done));
        else if (errno != EINTR)
            return; // a terminal that is gone: wait() says so
    }
}

} // namespace

bool Screen::possible() {
    const char *kind = std::getenv("TERM");
    return ::isatty(STDIN_FILENO) != 0 && ::isatty(STDOUT_FILENO) != 0 && kind != nullptr &&
           std::string_view(kind) != "dumb";
}

Result<Screen> Screen::open() {
    termios before{};
    if (::tcgetattr(STDIN_FILENO, &before) != 0)
        return system_error("read the terminal's mode", errno);
    sigset_t set = handled();
    UniqueFd signals(::signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK));
    if (!signals)
        return system_error("wait for signals", errno);
    sigaddset(&set, SIGTTOU); // setting the mode back must not stop us
    ::pthread_sigmask(SIG_BLOCK, &set, nullptr);
    Screen screen(std::move(signals), before);
    screen.enter();
    return screen;
}

Screen::Screen(Screen &&other) noexcept
    : signals_(std::move(other.signals_)), before_(other.before_),
      inside_(std::exchange(other.inside_, false)) {}

Screen::~Screen() {
    leave();
}

// Signals of keys (^C) stay: they are as good as q.
void Screen::enter() {
    termios mode = before_;
    mode.c_lflag &= ~static_cast<tcflag_t>(ICANON | ECHO);
    mode.c_cc[VMIN] = 1;
    mode.c_cc[VTIME] = 0;
    ::tcsetattr(STDIN_FILENO, TCSAFLUSH, &mode);
    write_all(entering);
    inside_ = true;
}

void Screen::leave() {
    if (!std::exchange(inside_, false))
        return;
    write_all(leaving);
    ::tcsetattr(STDIN_FILENO, TCSAFLUSH, &before_);
}

Screen::Size Screen::size() const {
    winsize size{};
    const bool known = ::ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0;
    return {known && size.ws_col > 0 ? size.ws_col : std::size_t{80},
            known && size.ws_row > 0 ? size.ws_row : std::size_t{24}};
}

void Screen::draw(const std::vector<std::string> &lines) {
    if (!inside_)
        return;
    std::string text = "\x1b[H";
    for (std::size_t index = 0; index < lines.size(); ++index)
        text += lines[index] + "\x1b[K" + (index + 1 < lines.size() ? "\r\n" : "");
    write_all(text + "\x1b[J");
}

// Until somebody brings us back to the front: who goes on in the background (`bg`) would take the terminal from the shell
// that reads it. An end that is asked for meanwhile comes before that.
void Screen::stop() {
    leave();
    for (;;) {
        ::raise(SIGSTOP);
        const pid_t front = ::tcgetpgrp(STDIN_FILENO);
        if (front == ::getpgrp())
            return enter();
        if (front < 0 || end_is_asked())
            return;
    }
}

void Screen::take_signals(Happened &happened) {
    signalfd_siginfo info{};
    while (::read(signals_.get(), &info, sizeof info) == static_cast<ssize_t>(sizeof info)) {
        if (info.ssi_signo == SIGTSTP)
            stop();
        happened.resized |= info.ssi_signo == SIGWINCH || info.ssi_signo == SIGTSTP;
        happened.end |= info.ssi_signo != SIGWINCH && info.ssi_signo != SIGTSTP;
    }
}

Screen::Happened Screen::wait(std::chrono::milliseconds time, int also) {
    Happened happened;
    std::array<pollfd, 3> waited{{{STDIN_FILENO, POLLIN, 0}, {signals_.get(), POLLIN, 0}, {also, POLLIN, 0}}};
    const auto patience = static_cast<int>(std::clamp<std::int64_t>(time.count(), 0, 3'600'000));
    if (::poll(waited.data(), waited.size(), patience) <= 0)
        return happened;
    if (waited[1].revents != 0)
        take_signals(happened);
    if (waited[0].revents != 0) {
        std::array<char, 256> keys{};
        const ssize_t got = ::read(STDIN_FILENO, keys.data(), keys.size());
        if (got > 0)
            happened.keys.assign(keys.data(), static_cast<std::size_t>(got));
        else
            happened.end |= got == 0 || errno != EINTR;
    }
    happened.other = waited[2].revents != 0;
    return happened;
}

} // namespace penstock::cli
