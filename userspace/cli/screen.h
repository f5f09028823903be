// SPDX-License-Identifier: Apache-2.0
// The terminal while something is drawn on all of it: the alternate screen, keys unbuffered and unechoed. Whoever is
// destroyed, or left, gives it back as it was. Knows nothing of what is drawn.
#pragma once

#include "userspace/base/result.h"
#include "userspace/base/unique_fd.h"

#include <chrono>
#include <cstddef>
#include <string>
#include <termios.h>
#include <vector>

namespace penstock::cli {

class Screen {
  public:
    struct Size {
        std::size_t columns, lines;
    };

    // Of standard input and output, both terminals. Takes SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGTSTP and SIGWINCH over from
    // this moment on, for this thread and those it makes: they arrive as what wait() says.
    static Result<Screen> open();
    static bool possible(); // both are terminals, and of a kind that can
    Screen(Screen &&) noexcept;
    Screen &operator=(Screen &&) = delete;
    ~Screen();

    struct Happened {
        std::string keys;     // octets
        bool resized = false; // also: drawn over, draw again
        bool end = false;     // a signal asked for it, or the terminal is gone
        bool other = false;   // the descriptor is readable
    };
    // Until something happens or the time is over. `also`: a descriptor to wait for.
    Happened wait(std::chrono::milliseconds, int also);

    Size size() const;
    void draw(const std::vector<std::string> &lines);

  private:
    Screen(UniqueFd signals, const termios &before) : signals_(std::move(signals)), before_(before) {}
    void enter();
    void leave();
    void stop();
    void take_signals(Happened &);

    UniqueFd signals_;
    termios before_{};
    bool inside_ = false;
};

} // namespace penstock::cli
